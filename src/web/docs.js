/*
 * The page at /docs: Swagger UI on this server's own /openapi.json. Where the server has API keys it asks for one, which is
 * kept in this page's memory alone and sent to this server alone.
 */

const form = document.querySelector("#key-form");
const input = document.querySelector("#key");
const message = document.querySelector("#message");

/** Shows the description, or why that is not possible. */
async function show(key) {
  const headers = key === "" ? {} : { Authorization: `Bearer ${key}` };
  const response = await fetch("/openapi.json", { headers });
  form.hidden = response.status !== 401;
  if (response.ok) {
    message.textContent = "";
    showDescription(await response.json(), key);
    return;
  }
  const { detail } = await response.json();
  // Without a key there is nothing wrong yet.
  message.textContent = response.status === 401 && key === "" ? "" : detail;
}

function showDescription(spec, key) {
  const ui = window.SwaggerUIBundle({
    spec,
    dom_id: "#description",
    // A badge that would send this server's address to swagger.io.
    validatorUrl: null,
    // A query in this page's address is nothing that it takes orders from.
    queryConfigEnabled: false,
    defaultModelsExpandDepth: 0,
    onComplete() {
      if (key !== "") ui.preauthorizeApiKey("bearer", key);
    },
  });
}

function showOrSay(key) {
  show(key).catch((error) => {
    message.textContent = `The description cannot be shown: ${error}`;
  });
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  showOrSay(input.value);
});

showOrSay("");
