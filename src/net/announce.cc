#include "net/announce.h"

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "base/fd.h"

namespace gantry::net {
namespace {

void append(std::string& out, const uint8_t* bytes, size_t size) {
  out.append(reinterpret_cast<const char*>(bytes), size);
}

void append(std::string& out, const MacAddress& mac) { append(out, mac.bytes.data(), mac.bytes.size()); }

std::string ethernet(const MacAddress& to, const MacAddress& from, uint16_t type) {
  std::string frame;
  append(frame, to);
  append(frame, from);
  frame += static_cast<char>(type >> 8);
  frame += static_cast<char>(type & 0xff);
  return frame;
}

std::string arp_frame(const IpAddress& address, const MacAddress& mac) {
  std::string frame = ethernet({{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}}, mac, ETHERTYPE_ARP);
  frame += std::string("\x00\x01\x08\x00\x06\x04\x00\x01", 8);  // Ethernet, IPv4, sizes 6 and 4, request
  append(frame, mac);
  append(frame, address.bytes(), 4);
  frame += std::string(6, '\0');
  append(frame, address.bytes(), 4);
  return frame;
}

// The Internet checksum (RFC 1071).
uint16_t checksum(const std::string& data) {
  uint32_t sum = 0;
  for (size_t i = 0; i < data.size(); i += 2) {
    uint32_t high = static_cast<uint8_t>(data[i]);
    uint32_t low = i + 1 < data.size() ? static_cast<uint8_t>(data[i + 1]) : 0;
    sum += high << 8 | low;
  }
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(~sum);
}

std::string advertisement_frame(const IpAddress& address, const MacAddress& mac) {
  const uint8_t all_nodes[16] = {0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  std::string body("\x88\x00\x00\x00\x20\x00\x00\x00", 8);  // neighbour advertisement, override
  append(body, address.bytes(), 16);
  body += std::string("\x02\x01", 2);  // option: target link-layer address
  append(body, mac);

  std::string pseudo;
  append(pseudo, address.bytes(), 16);
  append(pseudo, all_nodes, 16);
  pseudo += std::string{'\0', '\0', '\0', static_cast<char>(body.size()), '\0', '\0', '\0', '\x3a'};
  uint16_t sum = checksum(pseudo + body);
  body[2] = static_cast<char>(sum >> 8);
  body[3] = static_cast<char>(sum & 0xff);

  std::string frame = ethernet({{0x33, 0x33, 0, 0, 0, 1}}, mac, ETHERTYPE_IPV6);
  frame += std::string{'\x60', '\0', '\0', '\0', '\0', static_cast<char>(body.size()), '\x3a', '\xff'};
  append(frame, address.bytes(), 16);
  append(frame, all_nodes, 16);
  return frame + body;
}

}  // namespace

Result<> announce(int bridge_index, const IpAddress& address, const MacAddress& mac) {
  // Protocol 0: the socket only sends, and no packet of the host is copied to it.
  Fd fd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
  if (!fd) return Error::from_errno(errno, "open packet socket");
  std::string frame = address.is_v6() ? advertisement_frame(address, mac) : arp_frame(address, mac);
  sockaddr_ll to{.sll_family = AF_PACKET, .sll_ifindex = bridge_index, .sll_halen = 6};
  std::memcpy(to.sll_addr, frame.data(), 6);
  ssize_t sent = ::sendto(fd.get(), frame.data(), frame.size(), 0, reinterpret_cast<sockaddr*>(&to), sizeof to);
  if (sent < 0) return Error::from_errno(errno, "announce", address.to_string());
  return {};
}

}  // namespace gantry::net
