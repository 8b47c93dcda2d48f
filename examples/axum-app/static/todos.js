const list = document.querySelector("ul");
const form = document.querySelector("form");

async function show() {
  const todos = await (await fetch("/todos")).json();
  list.replaceChildren(...todos.map((todo) => {
    const item = document.createElement("li");
    item.textContent = todo.text;
    item.onclick = () => fetch(`/todos/${todo.id}`, { method: "DELETE" });
    return item;
  }));
}

// A new todo goes over the WebSocket, and every change comes back as an event.
const socket = new WebSocket(`${location.protocol.replace("http", "ws")}//${location.host}/ws`);
form.onsubmit = (event) => {
  event.preventDefault();
  socket.send(form.text.value);
  form.reset();
};
new EventSource("/events").onmessage = show;
