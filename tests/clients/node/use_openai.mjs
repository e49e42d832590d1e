// The `openai` package, unmodified. Arguments: the server's URL, a question, its answer, a model that calls `now`,
// an embedding model. Ends with status 0 if all was as it should be.

import assert from "node:assert/strict";
import OpenAI from "openai";

const [url, question, answer, caller, embedder] = process.argv.slice(2);
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0 });
const messages = [{ role: "user", content: question }];
const parameters = { type: "object", properties: { zone: { type: "string" } }, required: ["zone"] };
const now = { type: "function", function: { name: "now", parameters } };

const names = [];
for await (const each of client.models.list()) names.push(each.id);
assert(names.some((name) => name.startsWith("tiny")), String(names));

const done = await client.chat.completions.create({ model: "tiny", messages, temperature: 0 });
assert.equal(done.choices[0].message.content, answer);
assert(done.usage.completion_tokens > 2);

const stream = client.chat.completions.stream({ model: "tiny", messages, temperature: 0 });
let deltas = 0;
for await (const chunk of stream) if (chunk.choices[0]?.delta.content) deltas += 1;
assert.equal(await stream.finalContent(), answer);
assert(deltas > 3);

const written = await client.responses.create({ model: "tiny", input: question, temperature: 0 });
assert.equal(written.output_text, answer);
let text = "";
for await (const event of await client.responses.create({ model: "tiny", input: question, temperature: 0, stream: true })) {
  if (event.type === "response.output_text.delta") text += event.delta;
}
assert.equal(text, answer);

const heard = [];
const runner = client.chat.completions.runTools({
  model: caller,
  messages,
  temperature: 0,
  tools: [{ type: "function", function: { ...now.function, parse: JSON.parse, function: ({ zone }) => { heard.push(zone); return "noon"; } } }],
});
assert.equal(await runner.finalContent(), "It is noon.");
assert.deepEqual(heard, ["UTC"]);

const { data } = await client.embeddings.create({ model: embedder, input: ["ba be", "do"] });
assert.deepEqual(data.map((each) => each.embedding.length), [128, 128]);

await assert.rejects(client.chat.completions.create({ model: "nosuch", messages }), OpenAI.NotFoundError);
