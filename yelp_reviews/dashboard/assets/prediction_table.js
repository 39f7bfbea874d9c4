// A table of predictions in which the correct answer of each can be selected.
//
// Sends {id, answer} when an answer is selected: true, false, or null for no answer.
// Text is only ever set as text, never as HTML.

const HEADER = ["time (UTC)", "review", "model says", "probability", "version", "correct answer"]
const ANSWERS = { "": "no answer", true: "positive", false: "negative" }

function element(tag, properties) {
  return Object.assign(document.createElement(tag), properties)
}

function cells(row) {
  return [
    row.timestamp.slice(0, 19).replace("T", " "),
    row.text ?? "(not stored)",
    ANSWERS[row.is_positive_model_answered],
    (100 * row.probability).toFixed(1) + " %",
    row.model_version ?? "",
  ]
}

function answerSelect(row, model) {
  const current = String(row.is_positive_user_answered ?? "")
  const select = element("select")
  select.setAttribute("aria-label", "Correct answer for the review of " + row.timestamp)
  for (const [value, textContent] of Object.entries(ANSWERS)) {
    select.append(element("option", { value, textContent, selected: value === current }))
  }
  select.addEventListener("change", () => {
    const answer = select.value === "" ? null : select.value === "true"
    model.send({ id: row.id, answer })
  })
  return select
}

function tableHead() {
  const line = element("tr")
  for (const textContent of HEADER) line.append(element("th", { textContent, scope: "col" }))
  const head = element("thead")
  head.append(line)
  return head
}

function tableRow(row, model) {
  const line = element("tr")
  for (const textContent of cells(row)) line.append(element("td", { textContent }))
  const answer = element("td")
  answer.append(answerSelect(row, model))
  line.append(answer)
  return line
}

function render({ model, el }) {
  function draw() {
    const body = element("tbody")
    for (const row of model.get("rows")) body.append(tableRow(row, model))
    const table = element("table", { className: "y-table" })
    table.append(element("caption", { textContent: "Predictions, newest first" }), tableHead(), body)
    el.replaceChildren(table)
  }

  el.classList.add("y-scroll")
  el.tabIndex = 0
  el.setAttribute("role", "region")
  el.setAttribute("aria-label", "Predictions")
  model.on("change:rows", draw)
  draw()
  return () => model.off("change:rows", draw)
}

export default { render }
