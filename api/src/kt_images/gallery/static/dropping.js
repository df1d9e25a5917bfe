/** Files and folders that are dropped anywhere on the page, and pictures that are pasted. */

/**
 * Listen for them.
 * @param {{over: (isOver: boolean) => void, got: (files: File[]) => void}} tell
 */
export function listen({ over, got }) {
  let isOwn = false;
  let timer = 0;
  addEventListener("dragstart", () => {
    isOwn = true; // a tile that is dragged out
  });
  addEventListener("dragend", () => {
    isOwn = false;
  });
  addEventListener("dragover", (event) => {
    if (isOwn || !event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "copy";
    over(true);
    // Told again and again while it is over the page; nothing tells reliably that it has left.
    clearTimeout(timer);
    timer = setTimeout(() => over(false), 500);
  });
  addEventListener("drop", async (event) => {
    if (isOwn || !event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    clearTimeout(timer);
    over(false);
    // What was dropped is known only until the first wait.
    const entries = [...event.dataTransfer.items].map((one) => one.webkitGetAsEntry()).filter((one) => one !== null);
    const files = [...event.dataTransfer.files];
    const found = entries.length ? (await Promise.all(entries.map(filesOf))).flat() : files;
    got(found);
  });
  addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (!files.length) return;
    event.preventDefault();
    got(files);
  });
}

/**
 * All files of a folder and of those in it.
 * @param {FileSystemEntry} entry
 * @returns {Promise<File[]>}
 */
async function filesOf(entry) {
  if (entry.name.startsWith(".")) return []; // what file managers leave in folders
  if (entry.isFile) {
    const { file } = /** @type {FileSystemFileEntry} */ (entry);
    return new Promise((resolve) =>
      file.call(
        entry,
        (one) => resolve([one]),
        () => resolve([]),
      ),
    );
  }
  const reader = /** @type {FileSystemDirectoryEntry} */ (entry).createReader();
  const found = [];
  for (;;) {
    /** @type {FileSystemEntry[]} */
    const some = await new Promise((resolve) => reader.readEntries(resolve, () => resolve([])));
    if (!some.length) return found; // it gives a hundred at a time
    for (const one of some) found.push(...(await filesOf(one)));
  }
}
