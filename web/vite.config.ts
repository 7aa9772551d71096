import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// The API is on the same origin; while developing, it is a running instance that ATELIER_URL names.
export default defineConfig({
  plugins: [react()],
  build: { assetsInlineLimit: 0 },
  server: { proxy: { "/api": process.env["ATELIER_URL"] ?? "http://127.0.0.1:8080" } },
});
