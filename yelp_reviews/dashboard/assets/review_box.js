// A labelled text area with a character counter and a button.
//
// Sends {text} when the button is clicked or Ctrl-Enter is pressed, and {heartbeat: true} while it is shown.
// Text is only ever set as text, never as HTML.

const HEARTBEAT_MILLISECONDS = 10_000

function element(tag, properties) {
  return Object.assign(document.createElement(tag), properties)
}

function thousands(number) {
  return number.toLocaleString("en")
}

function render({ model, el }) {
  const id = "y" + Math.random().toString(36).slice(2)
  const label = element("label", { htmlFor: id, textContent: "Your review" })
  const area = element("textarea", {
    id,
    rows: 5,
    value: model.get("text"),
    placeholder: "Write or paste a review …",
  })
  const button = element("button", {
    type: "button",
    className: "y-primary",
    textContent: "Classify",
    title: "Ctrl-Enter",
  })
  const counter = element("span", { className: "y-muted", id: id + "-counter" })
  area.setAttribute("aria-describedby", counter.id)

  function updateCounter() {
    const length = [...area.value].length // characters, not UTF-16 code units
    const limit = model.get("max_chars")
    counter.textContent = `${thousands(length)} of ${thousands(limit)} characters`
    counter.classList.toggle("y-too-long", length > limit)
  }

  function saveText() {
    model.set("text", area.value)
    model.save_changes()
  }

  function submit() {
    saveText()
    model.send({ text: area.value })
  }

  function submitOnCtrlEnter(event) {
    event.stopPropagation() // JupyterLab would run the cell
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault()
      submit()
    }
  }

  function showText() {
    if (area.value === model.get("text")) return
    area.value = model.get("text")
    updateCounter()
  }

  area.addEventListener("input", updateCounter)
  area.addEventListener("change", saveText)
  area.addEventListener("keydown", submitOnCtrlEnter)
  button.addEventListener("click", submit)
  model.on("change:text", showText)

  const row = element("div", { className: "y-row" })
  row.append(button, counter)
  el.classList.add("y-review-box")
  el.append(label, area, row)
  updateCounter()

  const heartbeat = setInterval(() => model.send({ heartbeat: true }), HEARTBEAT_MILLISECONDS)
  return () => {
    clearInterval(heartbeat)
    model.off("change:text", showText)
  }
}

export default { render }
