// What the pages do better with JavaScript; all of it works without.

for (const gallery of document.querySelectorAll(".gallery")) {
  const strip = gallery.querySelector(".gallery-pictures");
  const links = [...gallery.querySelectorAll(".gallery-thumbnails a")];
  const calm = matchMedia("(prefers-reduced-motion: reduce)");

  const mark = (index) => {
    links.forEach((link, other) => {
      if (other === index) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    });
  };

  links.forEach((link, index) => {
    link.addEventListener("click", (event) => {
      // Following the anchor would also scroll the page.
      event.preventDefault();
      const left = strip.children[index].offsetLeft - strip.offsetLeft;
      strip.scrollTo({ left, behavior: calm.matches ? "auto" : "smooth" });
    });
  });

  if (links.length) {
    mark(0);
    strip.addEventListener("scroll", () => mark(Math.round(strip.scrollLeft / strip.clientWidth)), { passive: true });
  }
}

for (const menu of document.querySelectorAll(".photo-menu")) {
  const close = (focus) => {
    menu.open = false;
    if (focus) menu.querySelector("summary").focus();
  };
  menu.addEventListener("keydown", (event) => event.key === "Escape" && close(true));
  document.addEventListener("click", (event) => menu.contains(event.target) || close(false));
}
