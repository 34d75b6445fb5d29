import { render } from "solid-js/web";
import "@/app/app.css";
import { App } from "@/app/App";
import "@/shared/theme";

const root = document.getElementById("root");
if (root) render(() => <App />, root);
