// What Material leaves out for keyboards and screen readers.
function scrollTablesByKeyboard() {
  for (const wrap of document.querySelectorAll(".md-typeset__scrollwrap"))
    if (wrap.scrollWidth > wrap.clientWidth) wrap.tabIndex = 0
    else wrap.removeAttribute("tabindex")
}
// The switch of light and dark that is shown gets the focus, not the hidden one.
function focusTheSwitchShown() {
  const label = document.querySelector("[data-md-component=palette] label:not([hidden])")
  if (label) label.previousElementSibling.checked = true
}
document.querySelector(".md-search")?.setAttribute("aria-label", "Search")
addEventListener("load", scrollTablesByKeyboard)
addEventListener("load", focusTheSwitchShown)
addEventListener("resize", scrollTablesByKeyboard)
