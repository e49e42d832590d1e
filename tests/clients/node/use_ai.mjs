// The `ai` package with its Ollama provider, unmodified. Arguments: the server's URL, a question, its answer, a model
// that calls `now`, an embedding model. Ends with status 0 if all was as it should be.

import assert from "node:assert/strict";
import { embedMany, generateText, Output, stepCountIs, streamText, tool } from "ai";
import { createOllama } from "ollama-ai-provider-v2";
import { z } from "zod";

const [url, question, answer, caller, embedder] = process.argv.slice(2);
const ollama = createOllama({ baseURL: `${url}/api` });
const settings = { temperature: 0, maxRetries: 0 };

const done = await generateText({ model: ollama("tiny"), prompt: question, ...settings });
assert.equal(done.text, answer);
assert.equal(done.finishReason, "stop");
assert(done.usage.outputTokens > 2);

const pieces = [];
for await (const piece of streamText({ model: ollama("tiny"), prompt: question, ...settings }).textStream) pieces.push(piece);
assert.equal(pieces.join(""), answer);
assert(pieces.length > 3);

const trip = z.object({ colour: z.enum(["red", "blue"]) });
const made = await generateText({ model: ollama("tiny"), prompt: "Which?", output: Output.object({ schema: trip }), ...settings });
assert(["red", "blue"].includes(made.output.colour));

const now = tool({
  description: "The time in a zone.",
  inputSchema: z.object({ zone: z.string() }),
  execute: async ({ zone }) => `noon in ${zone}`,
});
const round = await generateText({ model: ollama(caller), prompt: "What time?", tools: { now }, stopWhen: stepCountIs(3), ...settings });
assert.deepEqual(round.steps[0].toolCalls.map((call) => call.input), [{ zone: "UTC" }]);
assert.equal(round.text, "It is noon.");

const { embeddings } = await embedMany({ model: ollama.embedding(embedder), values: ["ba be", "do"], maxRetries: 0 });
assert.deepEqual(embeddings.map((each) => each.length), [128, 128]);

await assert.rejects(generateText({ model: ollama("nosuch"), prompt: "Hi", ...settings }), { statusCode: 404 });
