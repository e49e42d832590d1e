// The `ollama` package, unmodified. Arguments: the server's URL, a question, its answer, a model that calls `now`,
// an embedding model. Ends with status 0 if all was as it should be.

import assert from "node:assert/strict";
import { Ollama } from "ollama";

const [url, question, answer, caller, embedder] = process.argv.slice(2);
const client = new Ollama({ host: url });
const asked = [{ role: "user", content: question }];
const greedy = { temperature: 0 };
const now = {
  type: "function",
  function: {
    name: "now",
    description: "The time in a zone.",
    parameters: { type: "object", properties: { zone: { type: "string" } }, required: ["zone"] },
  },
};

const names = (await client.list()).models.map((each) => each.name);
assert(names.includes("tiny:latest"), String(names));
assert.deepEqual((await client.show({ model: "tiny" })).capabilities, ["completion"]);
assert.equal((await client.chat({ model: "tiny", messages: asked, options: greedy })).message.content, answer);
assert.equal((await client.generate({ model: "tiny", prompt: question, options: greedy })).response, answer);

const pieces = [];
for await (const piece of await client.chat({ model: "tiny", messages: asked, options: greedy, stream: true })) {
  pieces.push(piece);
}
assert.equal(pieces.map((piece) => piece.message.content).join(""), answer);
assert(pieces.length > 3);
assert.equal(pieces.at(-1).done_reason, "stop");

const format = { type: "object", properties: { tall: { type: "boolean" } }, required: ["tall"] };
const made = await client.chat({ model: "tiny", messages: asked, format, options: greedy });
assert.equal(typeof JSON.parse(made.message.content).tall, "boolean");

const called = (await client.chat({ model: caller, messages: asked, tools: [now], options: greedy })).message;
assert.deepEqual(called.tool_calls.map((call) => call.function.arguments), [{ zone: "UTC" }]);
const told = [...asked, called, { role: "tool", content: "noon", tool_name: "now" }];
const said = await client.chat({ model: caller, messages: told, tools: [now], options: greedy });
assert.equal(said.message.content, "It is noon.");

const { embeddings } = await client.embed({ model: embedder, input: ["ba be", "do"] });
assert.deepEqual(embeddings.map((each) => each.length), [128, 128]);

assert((await client.ps()).models.some((each) => each.name === "tiny:latest"));
assert.equal((await client.create({ model: "made", from: "tiny", system: "Be brief." })).status, "success");
assert.equal((await client.copy({ source: "made", destination: "copied" })).status, "success");
for (const model of ["made", "copied"]) assert.equal((await client.delete({ model })).status, "success");

await assert.rejects(client.chat({ model: "nosuch", messages: asked }), {
  status_code: 404,
  message: "model 'nosuch' not found",
});

// A stream that is left: the next question is answered.
const long = await client.generate({ model: "tiny", prompt: question, stream: true, format: { type: "array", minItems: 500 } });
for await (const _ of long) { long.abort(); break; }
assert.equal((await client.generate({ model: "tiny", prompt: question, options: greedy })).response, answer);
