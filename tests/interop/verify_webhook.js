// Reads {secret, headers, body} as JSON from standard input; exits 0 where the package standardwebhooks accepts them.
const { Webhook } = require("standardwebhooks");

const { secret, headers, body } = JSON.parse(require("fs").readFileSync(0, "utf8"));
console.log(JSON.stringify(new Webhook(secret).verify(body, headers)));
