<?php
// A site that speaks SMTP by hand, as many do: one connection a message, no
// extensions, dots stuffed, and the message sent again until it is taken.
// usage: php fsockopen.php PORT COUNT DIRECTORY

[, $port, $count, $directory] = $argv;

function compose(int $n, string $token): array
{
    $text = "Grüße aus dem Anhang-Test №$n\r\n.\r\n..\r\n.versteckt\r\n" . str_repeat('läng', 500) . "\r\n\r\n";
    $attachment = chunk_split(base64_encode(random_bytes($n % 25 == 7 ? 1000000 : 9000)), 76, "\r\n");
    $header = "Message-ID: <$token@php.peers.test>\r\nDate: " . date('r') . "\r\n"
        . "From: app@peers.test\r\nTo: you@example.com\r\nSubject: php $n\r\nMIME-Version: 1.0\r\n"
        . "Content-Type: multipart/mixed; boundary=\"=-$token\"\r\n";
    $body = "--=-$token\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n$text"
        . "--=-$token\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n$attachment"
        . "--=-$token--\r\n";
    return [$header, $body];
}

function expect($socket, string $class): void
{
    do {
        $line = fgets($socket);
        if ($line === false) {
            throw new RuntimeException('000 connection lost');
        }
    } while (substr($line, 3, 1) === '-');
    if ($line[0] !== $class) {
        throw new RuntimeException(trim($line));
    }
}

function send(int $port, string $message): void
{
    $socket = @fsockopen('127.0.0.1', $port, $code, $reason, 10);
    if (!$socket) {
        throw new RuntimeException("000 $reason");
    }
    stream_set_timeout($socket, 60);
    try {
        expect($socket, '2');
        foreach (["HELO localhost" => '2', "MAIL FROM:<app@peers.test>" => '2', "RCPT TO:<you@example.com>" => '2', "DATA" => '3'] as $command => $class) {
            @fwrite($socket, "$command\r\n");
            expect($socket, $class);
        }
        @fwrite($socket, preg_replace('/^\./m', '..', $message) . ".\r\n");
        expect($socket, '2');
        @fwrite($socket, "QUIT\r\n");
    } finally {
        fclose($socket);
    }
}

for ($n = 0; $n < $count; $n++) {
    $token = sprintf('php-%05d', $n);
    [$header, $body] = compose($n, $token);
    file_put_contents("$directory/$token", $body);
    while (true) {
        echo "try $token\n";
        try {
            send($port, "$header\r\n$body");
            echo "ok $token\n";
            break;
        } catch (RuntimeException $e) {
            echo "no $token {$e->getMessage()}\n";
            usleep(50000);
        }
    }
}
