// Shows how each resource of the page was loaded, and how long all of them took.
addEventListener('load', () => {
  const entries = performance.getEntriesByType('resource');
  // A pushed resource has no mark: it was there before the browser asked for it.
  const how = (entry) => [
    entry.nextHopProtocol || 'unknown',
    entry.initiatorType === 'early-hints' ? 'after a hint' : 'for the page',
    entry.transferSize ? 'from the network' : 'from a cache',
  ].join(', ');
  const counts = new Map();
  for (const entry of entries) counts.set(how(entry), (counts.get(how(entry)) || 0) + 1);
  const text = [...counts].map(([kind, count]) => `${count} ${kind}`).join('; ');
  const took = Math.max(0, ...entries.map((entry) => entry.responseEnd));
  document.getElementById('how').textContent =
    `${entries.length} resources: ${text}. All were there after ${Math.round(took)} ms.`;
  document.getElementById('each').textContent = entries.map((entry) =>
    `${new URL(entry.name).pathname}: ${how(entry)}, ${entry.transferSize} bytes, ` +
    `${Math.round(entry.startTime)} to ${Math.round(entry.responseEnd)} ms`).join('\n');
});
