/** Zooming into a picture, moving it, and swiping to the next one: by wheel, mouse, fingers and keys. */

// In pixels.
const TAP = 8;
const SWIPE = 56;
// In milliseconds.
const DOUBLE = 300;
// A click zooms in by so much, a key or a button by so much.
const CLICK = 2.5;
const STEP = 1.5;

export class Zoom {
  /** 1: as large as fits. */
  scale = 1;
  most = 8;
  #x = 0;
  #y = 0;
  /** @type {Map<number, {x: number, y: number}>} */
  #fingers = new Map();
  #start = { x: 0, y: 0 };
  #hasMoved = false;
  #isOnBox = false;
  #lastTap = 0;

  /**
   * @param {HTMLElement} stage  what hears the mouse and the fingers
   * @param {HTMLElement} box  what is moved, in the middle of the stage
   * @param {{zoomed: () => void, swiped: (step: 1 | -1) => void}} tell
   */
  constructor(stage, box, tell) {
    this.stage = stage;
    this.box = box;
    this.tell = tell;
    stage.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    stage.addEventListener("pointerdown", (event) => this.#down(event));
    stage.addEventListener("pointermove", (event) => this.#move(event));
    for (const name of /** @type {const} */ (["pointerup", "pointercancel"]))
      stage.addEventListener(name, (event) => this.#up(event));
    // Two fingers are for the picture, never for the page.
    const hold = (/** @type {TouchEvent} */ event) => {
      if (event.touches.length > 1 && event.cancelable) event.preventDefault();
    };
    stage.addEventListener("touchstart", hold, { passive: false });
    stage.addEventListener("touchmove", hold, { passive: false });
  }

  get isZoomed() {
    return this.scale > 1.001;
  }

  reset() {
    this.to(1);
  }

  /** @param {1 | -1} direction */
  step(direction) {
    this.to(this.scale * STEP ** direction);
  }

  /**
   * Zoom; what is at a point of the window stays there.
   * @param {number} wanted
   * @param {{x: number, y: number}} [point]
   */
  to(wanted, point) {
    const scale = Math.min(this.most, Math.max(1, wanted));
    const middle = this.#middle();
    const [x, y] = point ? [point.x - middle.x, point.y - middle.y] : [0, 0];
    const by = scale / this.scale;
    this.#x = x - (x - this.#x) * by;
    this.#y = y - (y - this.#y) * by;
    this.scale = scale;
    this.#place();
    this.tell.zoomed();
  }

  /**
   * Move the picture.
   * @param {number} x  in pixels
   * @param {number} y
   */
  pan(x, y) {
    this.#x += x;
    this.#y += y;
    this.#place();
  }

  /** Never so far that there is room on one side only. */
  #place() {
    const room = (/** @type {number} */ long, /** @type {number} */ held) =>
      Math.max(0, (long * this.scale - held) / 2);
    const across = room(this.box.offsetWidth, this.stage.clientWidth);
    const down = room(this.box.offsetHeight, this.stage.clientHeight);
    this.#x = Math.min(across, Math.max(-across, this.#x));
    this.#y = Math.min(down, Math.max(-down, this.#y));
    this.#draw(this.#x);
  }

  /** @param {number} x */
  #draw(x) {
    this.stage.classList.toggle("is-zoomed", this.isZoomed);
    this.box.style.transform = `translate(${x}px, ${this.#y}px) scale(${this.scale})`;
  }

  #middle() {
    const { left, top, width, height } = this.stage.getBoundingClientRect();
    return { x: left + width / 2, y: top + height / 2 };
  }

  /** @param {WheelEvent} event */
  #wheel(event) {
    event.preventDefault();
    const lines = event.deltaMode ? 30 : 1;
    this.to(this.scale * Math.exp((-event.deltaY * lines * (event.ctrlKey ? 5 : 1)) / 500), event);
  }

  /** @param {PointerEvent} event */
  #down(event) {
    if (event.button || (event.target instanceof Element && event.target.closest("button, a"))) return;
    this.#fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    this.stage.setPointerCapture(event.pointerId);
    if (this.#fingers.size > 1) this.#hasMoved = true;
    else {
      this.#start = { x: event.clientX, y: event.clientY };
      this.#hasMoved = false;
      this.#isOnBox = this.box.contains(/** @type {Node} */ (event.target));
    }
    this.box.classList.add("is-held");
  }

  /** @param {PointerEvent} event */
  #move(event) {
    const before = this.#fingers.get(event.pointerId);
    if (!before) return;
    const now = { x: event.clientX, y: event.clientY };
    const other = [...this.#fingers].find(([id]) => id !== event.pointerId)?.[1];
    this.#fingers.set(event.pointerId, now);
    const [x, y] = [now.x - this.#start.x, now.y - this.#start.y];
    this.#hasMoved ||= Math.hypot(x, y) > TAP;
    if (other) {
      const apart = (/** @type {{x: number, y: number}} */ one) => Math.hypot(one.x - other.x, one.y - other.y) || 1;
      this.to((this.scale * apart(now)) / apart(before), { x: (now.x + other.x) / 2, y: (now.y + other.y) / 2 });
      this.pan((now.x - before.x) / 2, (now.y - before.y) / 2);
    } else if (this.isZoomed) this.pan(now.x - before.x, now.y - before.y);
    else if (this.#hasMoved) this.#draw(event.pointerType === "mouse" ? 0 : x);
  }

  /** @param {PointerEvent} event */
  #up(event) {
    if (!this.#fingers.delete(event.pointerId) || this.#fingers.size) return;
    this.box.classList.remove("is-held");
    const x = event.clientX - this.#start.x;
    const isCancelled = event.type === "pointercancel";
    if (!this.#hasMoved && !isCancelled) this.#tap(event);
    else if (!this.isZoomed) {
      this.#place();
      const isSwipe = Math.abs(x) > SWIPE && Math.abs(x) > Math.abs(event.clientY - this.#start.y);
      if (isSwipe && !isCancelled && event.pointerType !== "mouse") this.tell.swiped(x < 0 ? 1 : -1);
    }
  }

  /** @param {PointerEvent} event */
  #tap(event) {
    const isSecond = event.timeStamp - this.#lastTap < DOUBLE;
    this.#lastTap = isSecond ? 0 : event.timeStamp;
    if (event.pointerType === "mouse" ? this.#isOnBox : isSecond)
      this.to(this.isZoomed ? 1 : Math.min(this.most, CLICK), event);
  }
}
