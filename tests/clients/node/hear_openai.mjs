// The `openai` package, unmodified, with a recording. Arguments: the server's URL, a model that hears, what it says of
// any sound, a WAV file. Ends with status 0 if all was as it should be.

import assert from "node:assert/strict";
import fs from "node:fs";
import OpenAI from "openai";

const [url, model, said, path] = process.argv.slice(2);
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0 });

const made = await client.audio.transcriptions.create({ model, file: fs.createReadStream(path), language: "en" });
assert.equal(made.text, said);

const plain = await client.audio.transcriptions.create({
  model,
  file: fs.createReadStream(path),
  response_format: "text",
});
assert.equal(plain, said);

let text = "";
const stream = await client.audio.transcriptions.create({ model, file: fs.createReadStream(path), stream: true });
for await (const event of stream) {
  if (event.type === "transcript.text.delta") text += event.delta;
  else assert.equal(event.text, said);
}
assert.equal(text, said);

const data = fs.readFileSync(path).toString("base64");
const content = [
  { type: "text", text: "What is said?" },
  { type: "input_audio", input_audio: { data, format: "wav" } },
];
const chat = await client.chat.completions.create({ model, messages: [{ role: "user", content }] });
assert.equal(chat.choices[0].message.content, said);

await assert.rejects(
  client.audio.transcriptions.create({ model: "tiny", file: fs.createReadStream(path) }),
  (error) => error.status === 400 && /does not support audio/.test(error.message),
);
