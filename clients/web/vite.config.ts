import tailwindcss from "@tailwindcss/vite";
import { defineConfig } from "vite";
import solid from "vite-plugin-solid";

// The development server stands in front of a running VMS (or of the mock server), so that the page and the
// interface share one origin as they do in production.
const upstream = process.env.VMS_UPSTREAM ?? "http://127.0.0.1:8080";

export default defineConfig({
  plugins: [solid(), tailwindcss()],
  resolve: { alias: { "@": new URL("./src", import.meta.url).pathname } },
  build: {
    target: "es2022",
    // The content security policy allows no data: scripts and no inline scripts.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: true,
  },
  server: {
    proxy: {
      "/api": { target: upstream, ws: true },
      "/ws": { target: upstream, ws: true },
      "/healthz": upstream,
    },
  },
});
