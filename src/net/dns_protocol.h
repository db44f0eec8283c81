// What the daemon tells gantry-dns, as messages over a SOCK_SEQPACKET unix socket in the run directory.
//
// The daemon sends and does not wait: the service reads everything that was sent before it answers any query, so a
// name is visible when the send has returned. Only `hello`, `synchronised` and `stop_carrying` are answered, by one message with the
// service's protocol version in decimal. `hello` and `quit` keep their form for ever, so that versions can part.
#pragma once

#include <sys/un.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "net/network.h"

namespace gantry::net {

inline constexpr uint32_t kDnsProtocolVersion = 2;
inline constexpr size_t kMaxDnsRequest = 128 * 1024;
inline constexpr const char* kDnsSocketName = "dns.sock";
// Held while the service is looked for and started, and by the service while it makes up its mind to end.
inline constexpr const char* kDnsLockName = "dns.lock";

enum class DnsCommand : uint8_t {
  hello = 1,  // a new daemon: what is not told again before `synchronised` is to be forgotten
  quit = 2,   // a daemon of another version takes over
  synchronised = 3,
  add_client = 4,  // with descriptors: the UDP and the TCP socket, perhaps the network namespace
  update_client = 5,
  remove_client = 6,
  publish = 7,
  withdraw = 8,
  carry = 9,           // perhaps with a descriptor: the listening socket
  stop_carrying = 10,  // answered when the ports are free
};

struct DnsRequest {
  DnsCommand command = DnsCommand::hello;
  NameService::Client client;  // add_client, update_client; remove_client: only the id
  std::string key;             // publish, withdraw
  NameRecord record;           // publish
  std::vector<UserForward> forwards;  // carry: one; stop_carrying: any number
};

std::string encode_dns_request(const DnsRequest& request);
// Fails on anything that encode_dns_request does not make.
Result<DnsRequest> decode_dns_request(std::string_view message);

// The socket's address in the run directory, reached through a descriptor of it: paths in socket addresses end after
// 107 bytes, run directories do not.
sockaddr_un dns_socket_address(int run_directory);

}  // namespace gantry::net
