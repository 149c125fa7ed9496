<?php
// A site with SwiftMailer, which many still have.
// usage: php swift.php HOST PORT RECIPIENT

require '/usr/share/php/Swift/autoload.php';

[, $host, $port, $to] = $argv;

$mailer = new Swift_Mailer(new Swift_SmtpTransport($host, (int) $port));
$mailer->send((new Swift_Message('Grüße & Küsse – Nº 5', file_get_contents('text')))
    ->setFrom(['app@example.com' => 'Müller & Söhne'])
    ->setTo($to)
    ->attach(Swift_Attachment::fromPath('octets.bin')));
