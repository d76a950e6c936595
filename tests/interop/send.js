// Sends as a program that uses kannon.js does. In: one JSON object on standard input:
//   {host, domain, key, sender, recipients, subject, html | templateId, scheduledTime}
// Out: the answer, or {code, details} of a refusal, as one JSON object on standard output.
const { KannonCli } = require('kannon.js');

async function main() {
  const asked = JSON.parse(require('fs').readFileSync(0, 'utf8'));
  const kannon = new KannonCli(asked.domain, asked.key, asked.sender, { host: asked.host, skipTLS: true });
  const at = asked.scheduledTime ? new Date(asked.scheduledTime) : undefined;
  try {
    return asked.html === undefined
      ? await kannon.sendTemplate(asked.recipients, asked.subject, asked.templateId, at)
      : await kannon.sendHtml(asked.recipients, asked.subject, asked.html, at);
  } catch (error) {
    return { code: error.code, details: error.details };
  }
}

main().then((answer) => {
  console.log(JSON.stringify(answer));
  process.exit(0);
});
