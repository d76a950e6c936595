<?php
// Sends one mail with PHPMailer. In: JSON on standard input. Out: the dialogue. Exit code 1 and the error if the server refuses it.
require "libphp-phpmailer/autoload.php";

$asked = json_decode(file_get_contents("php://stdin"));
$mail = new PHPMailer\PHPMailer\PHPMailer(true);
$mail->isSMTP();
$mail->SMTPDebug = 2; // print what the server says
$mail->Debugoutput = "echo";
$mail->Host = $asked->host;
$mail->Port = $asked->port;
$mail->SMTPSecure = "tls";
$mail->SMTPOptions = ["ssl" => ["cafile" => $asked->ca]];
$mail->SMTPAuth = true;
$mail->Username = $asked->user;
$mail->Password = $asked->password;
$mail->CharSet = "utf-8";
try {
    $mail->setFrom($asked->sender);
    $mail->addAddress($asked->to);
    $mail->Subject = $asked->subject;
    $mail->Body = $asked->text;
    $mail->addStringAttachment(base64_decode($asked->attachment), "bytes.bin");
    $mail->send();
} catch (PHPMailer\PHPMailer\Exception $error) {
    fwrite(STDERR, $error->getMessage() . "\n");
    exit(1);
}
