#include "net/address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "base/check.h"
#include "base/strings.h"

namespace gantry::net {
namespace {

// The byte of a netmask of `prefix` bits at position `index`.
uint8_t mask_byte(unsigned prefix, size_t index) {
  unsigned before = static_cast<unsigned>(index) * 8;
  if (prefix >= before + 8) return 0xff;
  if (prefix <= before) return 0;
  return static_cast<uint8_t>(0xff << (8 - (prefix - before)));
}

IpAddress with_bytes(bool v6, const std::array<uint8_t, 16>& bytes) {
  if (v6) return IpAddress::v6(bytes);
  return IpAddress::v4(uint32_t{bytes[0]} << 24 | uint32_t{bytes[1]} << 16 | uint32_t{bytes[2]} << 8 | bytes[3]);
}

}  // namespace

IpAddress IpAddress::v4(uint32_t host_order) {
  IpAddress address;
  for (int i = 0; i < 4; ++i) address.bytes_[i] = static_cast<uint8_t>(host_order >> (24 - 8 * i));
  return address;
}

IpAddress IpAddress::v6(const std::array<uint8_t, 16>& bytes) {
  IpAddress address;
  address.v6_ = true;
  address.bytes_ = bytes;
  return address;
}

Result<IpAddress> IpAddress::parse(std::string_view text) {
  // inet_pton wants a terminated string and would stop at an embedded zero.
  char buffer[INET6_ADDRSTRLEN] = {};
  if (text.size() < sizeof buffer && text.find('\0') == std::string_view::npos) {
    std::memcpy(buffer, text.data(), text.size());
    IpAddress address;
    if (::inet_pton(AF_INET, buffer, address.bytes_.data()) == 1) return address;
    if (::inet_pton(AF_INET6, buffer, address.bytes_.data()) == 1) {
      address.v6_ = true;
      return address;
    }
  }
  return invalid("invalid IP address " + quoted(text));
}

uint32_t IpAddress::to_v4() const {
  CHECK(!v6_);
  return uint32_t{bytes_[0]} << 24 | uint32_t{bytes_[1]} << 16 | uint32_t{bytes_[2]} << 8 | bytes_[3];
}

std::string IpAddress::to_string() const {
  char buffer[INET6_ADDRSTRLEN] = {};
  ::inet_ntop(v6_ ? AF_INET6 : AF_INET, bytes_.data(), buffer, sizeof buffer);
  return buffer;
}

IpAddress IpAddress::plus(uint64_t offset) const {
  IpAddress sum = *this;
  unsigned carry = 0;
  for (size_t i = size(); i-- > 0;) {
    unsigned byte = sum.bytes_[i] + static_cast<unsigned>(offset & 0xff) + carry;
    sum.bytes_[i] = static_cast<uint8_t>(byte);
    carry = byte >> 8;
    offset >>= 8;
  }
  return sum;
}

IpAddress IpAddress::before() const {
  IpAddress less = *this;
  for (size_t i = size(); i-- > 0 && less.bytes_[i]-- == 0;) {
  }
  return less;
}

Subnet::Subnet(IpAddress address, unsigned prefix) : prefix_(prefix) {
  CHECK(prefix <= address.size() * 8);
  std::array<uint8_t, 16> bytes{};
  for (size_t i = 0; i < address.size(); ++i) bytes[i] = address.bytes()[i] & mask_byte(prefix, i);
  address_ = with_bytes(address.is_v6(), bytes);
}

Result<Subnet> Subnet::parse(std::string_view text) {
  size_t slash = text.find('/');
  auto fail = [&] { return invalid("invalid CIDR address " + quoted(text) + ": want ADDRESS/PREFIX, as 10.1.0.0/16"); };
  if (slash == std::string_view::npos) return fail();
  auto address = IpAddress::parse(text.substr(0, slash));
  auto prefix = parse_unsigned(text.substr(slash + 1));
  if (!address.ok() || !prefix || *prefix > address->size() * 8) return fail();
  return Subnet(*address, static_cast<unsigned>(*prefix));
}

bool Subnet::contains(const IpAddress& address) const {
  if (address.is_v6() != address_.is_v6()) return false;
  return Subnet(address, prefix_).address_ == address_;
}

bool Subnet::overlaps(const Subnet& other) const {
  return prefix_ <= other.prefix_ ? contains(other.address_) : other.contains(address_);
}

IpAddress Subnet::last() const {
  std::array<uint8_t, 16> bytes{};
  for (size_t i = 0; i < address_.size(); ++i) {
    bytes[i] = address_.bytes()[i] | static_cast<uint8_t>(~mask_byte(prefix_, i));
  }
  return with_bytes(address_.is_v6(), bytes);
}

std::string Subnet::to_string() const { return address_.to_string() + "/" + std::to_string(prefix_); }

MacAddress MacAddress::random_local(Random& random) {
  MacAddress mac;
  random.fill(mac.bytes);
  mac.bytes[0] = static_cast<uint8_t>((mac.bytes[0] | 0x02) & ~0x01);
  return mac;
}

Result<MacAddress> MacAddress::parse(std::string_view text) {
  auto fail = [&] { return invalid("invalid MAC address " + quoted(text) + ": want six bytes, as 02:42:ac:11:00:02"); };
  auto digit = [](char c) -> int {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
  };
  MacAddress mac;
  if (text.size() != 17) return fail();
  for (size_t i = 0; i < 6; ++i) {
    int high = digit(text[3 * i]);
    int low = digit(text[3 * i + 1]);
    bool separated = i == 5 || text[3 * i + 2] == ':' || text[3 * i + 2] == '-';
    if (high < 0 || low < 0 || !separated) return fail();
    mac.bytes[i] = static_cast<uint8_t>(high << 4 | low);
  }
  return mac;
}

std::string MacAddress::to_string() const {
  char buffer[18];
  std::snprintf(buffer, sizeof buffer, "%02x:%02x:%02x:%02x:%02x:%02x", bytes[0], bytes[1], bytes[2], bytes[3],
                bytes[4], bytes[5]);
  return buffer;
}

}  // namespace gantry::net
