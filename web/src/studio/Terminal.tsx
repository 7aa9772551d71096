import { FitAddon } from "@xterm/addon-fit";
import { Terminal as Xterm } from "@xterm/xterm";
import "@xterm/xterm/css/xterm.css";
import { useEffect, useRef, useState } from "react";
import { exitInWords, splitFrame, type Exit } from "../api/output";
import { text } from "../text/en";

const RETRY_MS = 1000;

/** A shell's screen. A connection that breaks is made again, and goes on where it was. */
export function Terminal({ studio, session }: { studio: string; session: string }) {
  const place = useRef<HTMLDivElement>(null);
  const [status, setStatus] = useState("");
  useEffect(() => {
    if (place.current === null) return;
    const screen = new Xterm({ cursorBlink: true, screenReaderMode: true, scrollback: 5000 });
    const fit = new FitAddon();
    screen.loadAddon(fit);
    screen.open(place.current);
    screen.focus();
    let offset = 0;
    let socket: WebSocket | undefined;
    let retry: ReturnType<typeof setTimeout> | undefined;
    let ended = false;
    const tell = (message: object) => {
      if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
    };
    const resize = () => {
      fit.fit();
      tell({ type: "resize", columns: screen.cols, rows: screen.rows });
    };
    const connect = () => {
      const path = `${encodeURIComponent(studio)}/sessions/${encodeURIComponent(session)}/attach`;
      socket = new WebSocket(`/api/v1/studios/${path}?from=${offset}`);
      socket.binaryType = "arraybuffer";
      socket.onopen = () => {
        setStatus("");
        resize();
      };
      socket.onmessage = ({ data }: MessageEvent<ArrayBuffer | string>) => {
        if (typeof data !== "string") {
          const frame = splitFrame(data);
          offset += frame.data.length;
          screen.write(frame.data);
          return;
        }
        const message = JSON.parse(data) as { type: string; to?: number } & Exit;
        if (message.type === "gap") offset = message.to ?? offset;
        else if (message.type === "exit") {
          ended = true;
          setStatus(exitInWords(message));
        }
      };
      socket.onclose = () => {
        if (ended) return;
        setStatus(text.broken);
        retry = setTimeout(connect, RETRY_MS);
      };
    };
    const typing = screen.onData((typed) => {
      // What is typed while there is no connection is not sent late, into whatever the shell does by then.
      if (socket?.readyState === WebSocket.OPEN) socket.send(new TextEncoder().encode(typed));
    });
    const watch = new ResizeObserver(resize);
    watch.observe(place.current);
    connect();
    return () => {
      ended = true;
      clearTimeout(retry);
      watch.disconnect();
      typing.dispose();
      socket?.close();
      screen.dispose();
    };
  }, [studio, session]);
  return (
    <section aria-label={text.terminal}>
      <p role="status">{status}</p>
      <div ref={place} className="terminal" />
    </section>
  );
}
