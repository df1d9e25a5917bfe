/** `<kt-search>`. */

class Search extends HTMLElement {}

customElements.define("kt-search", Search);
