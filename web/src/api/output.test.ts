import { expect, test } from "vitest";
import { appendText, bytesOf, exitInWords, splitFrame } from "./output";

test("bytes come through base64 as they are", () => {
  expect([...bytesOf("AP9B")]).toEqual([0, 255, 65]);
});

test("a frame is a channel and data", () => {
  const { channel, data } = splitFrame(new Uint8Array([3, 104, 105]).buffer);
  expect([channel, new TextDecoder().decode(data)]).toEqual([3, "hi"]);
});

test("ends are told in words", () => {
  const end = { timed_out: false, cancelled: false };
  expect(exitInWords({ ...end, code: 3 })).toBe("exit code 3");
  expect(exitInWords({ ...end, signal: 15, cancelled: true })).toBe("signal 15 (cancelled)");
  expect(exitInWords({ ...end, not_started: "no such file" })).toBe("no such file");
});

test("only the newest text is kept", () => {
  expect(appendText("abc", "def", 4)).toBe("cdef");
});
