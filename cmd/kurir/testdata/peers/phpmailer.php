<?php
// A site with PHPMailer, which keeps its connection from mail to mail.
// usage: php phpmailer.php PORT COUNT DIRECTORY

require '/usr/share/php/libphp-phpmailer/autoload.php';

use PHPMailer\PHPMailer\PHPMailer;

[, $port, $count, $directory] = $argv;

$mailer = new PHPMailer(true);
$mailer->isSMTP();
$mailer->Host = '127.0.0.1';
$mailer->Port = (int) $port;
$mailer->SMTPKeepAlive = true;
$mailer->SMTPAutoTLS = false;
$mailer->CharSet = 'utf-8';
$mailer->Encoding = '8bit';
$mailer->setFrom('app@peers.test', 'Müller & Söhne');
$mailer->addAddress('you@example.com');

for ($n = 0; $n < $count; $n++) {
    $token = sprintf('phpmailer-%05d', $n);
    $mailer->MessageID = "<$token@phpmailer.peers.test>";
    $mailer->Subject = "Bestätigung $n";
    $mailer->Body = "Grüße von PHPMailer\n.\n..\n.versteckt\nSchluss";
    $mailer->clearAttachments();
    $mailer->addStringAttachment(random_bytes(9000), 'Anhang.bin');
    $mailer->preSend();
    [, $body] = explode("\r\n\r\n", $mailer->getSentMIMEMessage(), 2);
    file_put_contents("$directory/$token", "$body\r\n"); // PHPMailer ends its data with an empty line
    while (true) {
        echo "try $token\n";
        try {
            $mailer->postSend();
            echo "ok $token\n";
            break;
        } catch (Exception $e) {
            $said = $mailer->getSMTPInstance()->getError();
            echo "no $token ", sprintf('%03d', (int) $said['smtp_code']), ' ', strtr($e->getMessage(), "\r\n", '  '), "\n";
            $mailer->smtpClose();
            usleep(50000);
        }
    }
}
$mailer->smtpClose();
