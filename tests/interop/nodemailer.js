// Sends one mail with Nodemailer. In: JSON on standard input. Exit code 1 and the error if the server refuses it.
const nodemailer = require("nodemailer");
const { readFileSync } = require("fs");

const asked = JSON.parse(readFileSync(0, "utf8"));
nodemailer
  .createTransport({
    host: asked.host,
    port: asked.port,
    requireTLS: true,
    tls: { ca: readFileSync(asked.ca) },
    auth: { user: asked.user, pass: asked.password },
  })
  .sendMail({
    from: asked.sender,
    to: asked.to,
    subject: asked.subject,
    text: asked.text,
    attachments: [{ filename: "bytes.bin", content: Buffer.from(asked.attachment, "base64") }],
  })
  .then((sent) => console.log(sent.response))
  .catch((error) => {
    console.error(error.message);
    process.exitCode = 1;
  });
