/** `<kt-uploads>`. */

class Uploads extends HTMLElement {}

customElements.define("kt-uploads", Uploads);
