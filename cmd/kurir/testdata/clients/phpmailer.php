<?php
// A site with PHPMailer. usage: php phpmailer.php HOST PORT RECIPIENT

require '/usr/share/php/libphp-phpmailer/autoload.php';

[, $host, $port, $to] = $argv;

$mailer = new PHPMailer\PHPMailer\PHPMailer(true);
$mailer->isSMTP();
$mailer->Host = $host;
$mailer->Port = (int) $port;
$mailer->CharSet = 'utf-8';
$mailer->setFrom('app@example.com', 'Müller & Söhne');
$mailer->addAddress($to);
$mailer->Subject = 'Grüße & Küsse – Nº 5';
$mailer->Body = file_get_contents('text');
$mailer->addAttachment('octets.bin');
$mailer->send();
