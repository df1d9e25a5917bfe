/** `<kt-selection>`. */

class SelectionBar extends HTMLElement {}

customElements.define("kt-selection", SelectionBar);
