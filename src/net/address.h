// IP addresses, subnets and MAC addresses as plain values with parse/render pairs. Pure.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/random.h"
#include "base/result.h"

namespace gantry::net {

// IPv4 or IPv6; bytes in network order, the first four used for IPv4.
class IpAddress {
 public:
  IpAddress() = default;  // 0.0.0.0
  static IpAddress v4(uint32_t host_order);
  static IpAddress v6(const std::array<uint8_t, 16>& bytes);
  static Result<IpAddress> parse(std::string_view text);  // dotted quad or RFC 4291 text, no zone, no prefix

  bool is_v4() const { return !v6_; }
  bool is_v6() const { return v6_; }
  const uint8_t* bytes() const { return bytes_.data(); }
  size_t size() const { return v6_ ? 16 : 4; }
  uint32_t to_v4() const;  // host order; v4 only
  std::string to_string() const;
  // The address `offset` further on, within the family's width.
  IpAddress plus(uint64_t offset) const;
  IpAddress before() const;  // the one before

  friend auto operator<=>(const IpAddress&, const IpAddress&) = default;

 private:
  bool v6_ = false;
  std::array<uint8_t, 16> bytes_{};
};

// A network prefix; host bits are zero.
class Subnet {
 public:
  Subnet() = default;
  Subnet(IpAddress address, unsigned prefix);          // host bits are cleared
  static Result<Subnet> parse(std::string_view text);  // "172.18.0.0/16"

  const IpAddress& address() const { return address_; }
  unsigned prefix() const { return prefix_; }
  bool contains(const IpAddress& address) const;
  bool overlaps(const Subnet& other) const;
  IpAddress last() const;  // the broadcast address in IPv4
  std::string to_string() const;

  friend auto operator<=>(const Subnet&, const Subnet&) = default;

 private:
  IpAddress address_;
  unsigned prefix_ = 0;
};

struct MacAddress {
  std::array<uint8_t, 6> bytes{};
  static MacAddress random_local(Random& random);  // locally administered, unicast
  static Result<MacAddress> parse(std::string_view text);
  std::string to_string() const;
  friend auto operator<=>(const MacAddress&, const MacAddress&) = default;
};

}  // namespace gantry::net
