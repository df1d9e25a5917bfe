/** `<kt-toasts>`. */

class Toasts extends HTMLElement {}

customElements.define("kt-toasts", Toasts);
