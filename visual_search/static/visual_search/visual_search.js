// Makes the photo form quicker and reports which results were opened. All of it works without this file too.

const LONGEST_SIDE = 1280;
const QUALITY = 0.9;
const READABLE = new Set(["image/jpeg", "image/png", "image/webp"]);

function decoded(file) {
  return createImageBitmap(file, { imageOrientation: "from-image" }).catch(() => null);
}

// A picture on a canvas needs nothing of the page's policy: one with an address of its own would need `img-src blob:`.
function draw(canvas, bitmap) {
  const scale = Math.min(1, LONGEST_SIDE / Math.max(bitmap.width, bitmap.height));
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
}

// A phone's photo has 12 megapixels, of which the search looks at a fraction: sending that fraction takes a tenth of the time.
async function smaller(file) {
  const bitmap = await decoded(file);
  if (!bitmap) return file;
  if (Math.max(bitmap.width, bitmap.height) <= LONGEST_SIDE && READABLE.has(file.type)) return file;
  const canvas = document.createElement("canvas");
  draw(canvas, bitmap);
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", QUALITY));
  if (!blob || (READABLE.has(file.type) && blob.size >= file.size)) return file;
  return new File([blob], "photo.jpg", { type: "image/jpeg" });
}

function put(input, file) {
  const transfer = new DataTransfer();
  transfer.items.add(file);
  input.files = transfer.files;
}

// XMLHttpRequest parses the page by itself: no string is ever turned into HTML here.
function send(form, name, photo, region) {
  return new Promise((resolve, reject) => {
    const body = new FormData(form);
    body.set(name, photo, photo.name);
    if (region) body.set("region", region);
    const request = new XMLHttpRequest();
    request.open("POST", form.action);
    request.responseType = "document";
    request.onload = () => resolve(request.response);
    request.onerror = request.ontimeout = () => reject(new Error("network"));
    request.timeout = 60_000;
    request.send(body);
  });
}

// Shows the photo that was sent with the parts that the shop proposes. The photo stays in this page: each search sends it anew.
function stageOf(stage) {
  const frame = stage.querySelector(".vs-frame");
  const canvas = stage.querySelector(".vs-photo");
  const found = stage.querySelector("[data-visual-search-found]") ?? {};
  const say = (text) => (found.textContent = text ?? "");
  let pick = () => {};

  const mark = (region) => {
    for (const button of stage.querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(button.value === region));
    }
  };
  const picked = () => stage.querySelector("[aria-pressed=true]")?.value ?? "";
  const button = (region, number) => {
    const [left, top, right, bottom] = region.split(",").map(Number);
    const made = document.createElement("button");
    made.type = "button";
    made.className = "vs-region";
    made.value = region;
    made.setAttribute("aria-label", stage.dataset.part.replace("{number}", number));
    // Set by script, so that a policy without inline styles lets them be. The smaller of two that overlap is on top.
    made.style.left = `${100 * left}%`;
    made.style.top = `${100 * top}%`;
    made.style.width = `${100 * (right - left)}%`;
    made.style.height = `${100 * (bottom - top)}%`;
    made.style.zIndex = String(Math.round(100 - 99 * (right - left) * (bottom - top)));
    return made;
  };
  const hide = () => {
    stage.hidden = true;
    say("");
    canvas.width = canvas.height = 0;
    frame.querySelectorAll("button").forEach((each) => each.remove());
  };
  const show = (bitmap, regions, search) => {
    hide();
    if (!bitmap || regions.length === 0) return;
    draw(canvas, bitmap);
    frame.append(...regions.map((region, index) => button(region, index + 1)));
    pick = search;
    mark("");
    stage.hidden = false;
  };

  stage.addEventListener("click", async (event) => {
    const pressed = event.target.closest("button");
    if (!pressed) return;
    // Once more on the same part leads back to the whole photo.
    const region = pressed.getAttribute("aria-pressed") === "true" ? "" : pressed.value;
    const before = picked();
    if (region === before) return;
    mark(region);
    if (!(await pick(region, say))) mark(before);
  });
  const shown = () => !stage.hidden;
  return { show, hide, picked, shown };
}

const stage = [...document.querySelectorAll("[data-visual-search-stage]")].map(stageOf)[0];

function enhance(form) {
  const input = form.querySelector("input[type=file]");
  const button = form.querySelector("[type=submit]");
  const status = form.querySelector("[data-visual-search-status]");
  const preview = form.querySelector("[data-visual-search-preview]");
  const drop = form.querySelector("[data-visual-search-drop]");
  if (!input) return;
  for (const hint of form.querySelectorAll("[data-visual-search-script]")) hint.hidden = false;

  const say = (text) => {
    if (status) status.textContent = text ?? "";
  };
  const busy = (on) => {
    if (button) button.disabled = on;
    form.setAttribute("aria-busy", String(on));
  };
  const look = async () => {
    const file = input.files[0];
    say("");
    stage?.hide();
    if (!preview) return;
    preview.hidden = true;
    const bitmap = file && (await decoded(file));
    if (!bitmap || file !== input.files[0]) return;
    draw(preview, bitmap);
    preview.hidden = Boolean(stage?.shown());
  };
  const take = (files) => {
    const file = [...(files ?? [])].find((each) => each.type.startsWith("image/"));
    if (!file) return false;
    put(input, file);
    look();
    form.requestSubmit();
    return true;
  };

  input.addEventListener("change", look);
  // Going back shows the page as it was left: the button would still be waiting.
  window.addEventListener("pageshow", () => busy(false));

  if (drop) {
    const over = (on) => drop.classList.toggle("vs-drop-over", on);
    drop.addEventListener("dragover", (event) => {
      event.preventDefault();
      over(true);
    });
    drop.addEventListener("dragleave", () => over(false));
    drop.addEventListener("drop", (event) => {
      event.preventDefault();
      over(false);
      take(event.dataTransfer?.files);
    });
    document.addEventListener("paste", (event) => {
      if (take(event.clipboardData?.files)) event.preventDefault();
    });
  }

  // Puts the results for a part of the photo, or for all of it, into the page; returns them, or null where that failed.
  const search = async (photo, region, tell) => {
    if (form.getAttribute("aria-busy") === "true") return null;
    busy(true);
    tell(form.dataset.busy);
    let fresh = null;
    try {
      const page = await send(form, input.name, photo, region);
      fresh = page?.querySelector("[data-visual-search-results]");
      if (!fresh) throw new Error("no results in the answer");
      document.querySelector("[data-visual-search-results]").replaceWith(document.adoptNode(fresh));
      tell("");
    } catch {
      fresh = null;
      tell(form.dataset.failed);
    }
    busy(false);
    return fresh;
  };
  const pick = async (photo, region, tell) => {
    const fresh = await search(photo, region, tell);
    // The focus stays on the part that was picked: what was found is said instead.
    if (fresh) tell(fresh.querySelector("[role=status], [role=alert]")?.textContent);
    if (again) repeat();
    return fresh !== null;
  };

  const knob = form.querySelector("[name=colour]");
  let again = false;
  let kept = "";
  const repeat = () => {
    kept = stage?.picked() ?? "";
    form.requestSubmit();
  };
  knob?.addEventListener("change", () => {
    if (!input.files[0] || !document.querySelector("[data-visual-search-results] [tabindex]")) return;
    if (form.getAttribute("aria-busy") === "true") again = true;
    else repeat();
  });

  form.addEventListener("submit", async (event) => {
    const file = input.files[0];
    if (!file) return;
    event.preventDefault();
    if (form.getAttribute("aria-busy") === "true") return;
    const region = kept;
    kept = "";
    busy(true);
    again = false;
    say(form.dataset.busy);
    const photo = await smaller(file);
    const bitmap = stage && region === "" ? await decoded(photo) : null;
    busy(false);
    if (Number(form.dataset.maxBytes) && photo.size > Number(form.dataset.maxBytes)) {
      say(form.dataset.tooLarge);
      return;
    }
    if (!document.querySelector("[data-visual-search-results]")) {
      busy(true);
      put(input, photo);
      form.submit();
      return;
    }
    const fresh = await search(photo, region, say);
    if (fresh && region === "") {
      const regions = fresh.dataset.visualSearchRegions?.split(" ") ?? [];
      stage?.show(bitmap, regions, (part, tell) => pick(photo, part, tell));
      if (preview && stage?.shown()) preview.hidden = true;
    }
    if (!knob || document.activeElement !== knob) fresh?.querySelector("[tabindex='-1']")?.focus();
    if (again) repeat();
  });
}

// Shows what is alike by shape or by colour as the knob is moved; the address keeps up, so that a reload shows the same.
function follow(form) {
  const knob = form.querySelector("[name=colour]");
  const button = form.querySelector("[type=submit]");
  if (!knob) return;
  if (button) button.hidden = true;
  let asked = 0;
  let timer;
  const show = () => {
    const mine = ++asked;
    const address = new URL(location.href);
    address.searchParams.set("colour", knob.value);
    const request = new XMLHttpRequest();
    request.open("GET", address);
    request.responseType = "document";
    request.onload = () => {
      const fresh = request.response?.querySelector("[data-visual-search-results]");
      if (mine !== asked) return;
      if (!fresh) {
        form.submit();
        return;
      }
      document.querySelector("[data-visual-search-results]")?.replaceWith(document.adoptNode(fresh));
      history.replaceState(null, "", address);
    };
    request.onerror = () => mine === asked && form.submit();
    request.send();
  };
  // Keys move it step by step: the last one counts.
  knob.addEventListener("change", () => {
    clearTimeout(timer);
    timer = setTimeout(show, 200);
  });
}

// Says where the knob stands between its two ends, which nobody hears who is told "0.3".
function tell(knob) {
  const say = () => {
    const colour = Math.round(10 * knob.value);
    const text = knob.dataset.visualSearchStand.replace("{colour}", colour).replace("{shape}", 10 - colour);
    knob.setAttribute("aria-valuetext", text);
  };
  knob.addEventListener("input", say);
  // Going back shows the knob as it was left.
  window.addEventListener("pageshow", say);
  say();
}

// Says which result of which search was opened, and nothing about who opened it.
function report(event) {
  if (event.type === "auxclick" && event.button !== 1) return;
  const link = event.target.closest?.("a[data-visual-search-event]");
  const url = link?.closest("[data-visual-search-events]")?.dataset.visualSearchEvents;
  if (!url || navigator.globalPrivacyControl) return;
  const [search, ...product] = link.dataset.visualSearchEvent.split(":");
  const body = new Blob([JSON.stringify({ search, product: product.join(":") })], { type: "application/json" });
  if (navigator.sendBeacon?.(url, body)) return;
  fetch(url, { method: "POST", body, keepalive: true, credentials: "omit" }).catch(() => {});
}

document.querySelectorAll("form[data-visual-search-upload]").forEach(enhance);
document.querySelectorAll("form[data-visual-search-knob]").forEach(follow);
document.querySelectorAll("[data-visual-search-stand]").forEach(tell);
document.addEventListener("click", report);
document.addEventListener("auxclick", report);
