/** `<kt-viewer>`. */

class Viewer extends HTMLElement {}

customElements.define("kt-viewer", Viewer);
