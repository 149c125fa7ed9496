# A script with Ruby's standard library. usage: ruby ruby_net_smtp.rb HOST PORT RECIPIENT

require 'net/smtp'

host, port, to = ARGV

Net::SMTP.start(host, port.to_i) do |smtp|
  smtp.send_message File.read('message.eml', encoding: 'UTF-8'), 'app@example.com', to
end
