const form = document.querySelector('form');
form.addEventListener('submit', async (event) => {
  event.preventDefault();
  const { a, b, operator } = Object.fromEntries(new FormData(form));
  const response = await fetch('', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ operator: operator, a: Number(a), b: Number(b) }),
  });
  document.querySelector('output').textContent =
    response.ok ? await response.json() : await response.text();
});
