// One nftables transaction as netlink messages (linux/netfilter/nf_tables.h): tables, chains, sets, rules and
// elements. All of it takes effect at once or not at all. The kernel's interface is used directly because a change
// here is a few hundred bytes, and going through rule text would cost many times more; and because a socket that was
// opened inside a container's network namespace can be used as well.
//
// A rule is a row of expressions over 16 registers of four bytes, numbered 0…15 here. A load writes registers, a
// comparison or lookup reads them and ends the rule if it does not hold, a verdict or NAT expression acts.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "net/netlink.h"

namespace gantry::net {

// In the headers of all transport protocols that have ports.
inline constexpr unsigned kDestinationPort = 2;

enum class NftFamily : uint8_t { inet = 1, ipv4 = 2, ipv6 = 10 };  // NFPROTO_*

// A set's or map's key or value: its parts' types in order. Each part takes whole registers.
enum class NftType : uint8_t { protocol_family = 2, ipv4 = 7, ipv6 = 8, protocol = 12, port = 13, interface_name = 41 };
size_t size_of(NftType type);  // in the key, without padding
std::string padded_key(const std::vector<NftType>& types, const std::vector<std::string>& parts);

struct NftSet {
  std::string name;
  std::vector<NftType> key;
  std::vector<NftType> value = {};  // not empty: a map
  bool interval = false;
};

struct NftElement {
  std::string key;      // padded parts in network order
  std::string key_end;  // of an interval set: the last value that belongs to it
  std::string value;    // of a map
  friend auto operator<=>(const NftElement&, const NftElement&) = default;
};

struct NftBaseChain {
  std::string name;
  std::string type;   // "filter", "nat"
  unsigned hook = 0;  // NF_INET_*
  int priority = 0;
};

class NftRule {
 public:
  // Loads.
  NftRule& load_meta(unsigned key, unsigned reg);  // NFT_META_*
  NftRule& load_network_header(unsigned offset, unsigned length, unsigned reg);
  NftRule& load_transport_header(unsigned offset, unsigned length, unsigned reg);
  // The checksum at `checksum_offset` of the same header follows.
  NftRule& store_transport_header(unsigned offset, unsigned length, unsigned checksum_offset, unsigned reg);
  NftRule& load_ct(unsigned key, unsigned reg);  // NFT_CT_*
  NftRule& load_destination_type(unsigned reg);  // fib: RTN_*
  NftRule& mask(unsigned reg, std::string_view mask);
  // Tests.
  NftRule& equals(unsigned reg, std::string_view value);
  NftRule& differs(unsigned reg, std::string_view value);
  NftRule& in_set(unsigned reg, const std::string& set);
  NftRule& map(unsigned reg, const std::string& map, unsigned to);
  // Actions.
  NftRule& accept();
  NftRule& drop();
  NftRule& return_();
  NftRule& jump(const std::string& chain);
  NftRule& go_to(const std::string& chain);
  NftRule& counter();
  NftRule& value(unsigned reg, std::string_view data);
  NftRule& dnat(NftFamily family, unsigned address_reg, unsigned port_reg);
  NftRule& untracked();  // no flow is remembered for the packet
  NftRule& masquerade();
  NftRule& comment(std::string_view text);

  Bytes bytes() const { return expressions_.bytes(); }

 private:
  friend class NftBatch;
  void verdict(int code, const std::string& chain = {});
  void compare(unsigned operation, unsigned reg, std::string_view value);
  void load_payload(unsigned base, unsigned offset, unsigned length, unsigned reg);
  template <class F>
  void expression(std::string_view name, F fill);
  NetlinkBatch expressions_;  // a buffer of attributes, without a message around
  std::string comment_;
};

class NftBatch {
 public:
  NftBatch(NftFamily family, std::string table);

  void add_table(std::string_view comment = {});
  void delete_table();
  // Makes the table empty whether or not it existed.
  void replace_table(std::string_view comment);
  void add_chain(const std::string& name);
  void add_base_chain(const NftBaseChain& chain);
  void add_set(const NftSet& set);
  void add_rule(const std::string& chain, const NftRule& rule);
  void insert_rule(const std::string& chain, const NftRule& rule);  // before the others
  void delete_rule(const std::string& chain, uint64_t handle);
  // No elements: nothing happens. A map's element that is there with another value is an error (EEXIST).
  void add_elements(const NftSet& set, const std::vector<NftElement>& elements);
  void delete_elements(const NftSet& set, const std::vector<NftElement>& elements);  // missing ones are an error
  void flush_set(const NftSet& set);

  bool empty() const { return changes_ == 0; }
  // Error: errno as of the first change that failed; nothing was changed then.
  Result<> commit(int netfilter);

 private:
  void begin(unsigned type, unsigned flags, const std::string& what);
  void rule(const std::string& chain, const NftRule& rule, unsigned flags);
  void elements(unsigned type, unsigned flags, const NftSet& set, const std::vector<NftElement>& elements);

  NftFamily family_;
  std::string table_;
  NetlinkBatch batch_;
  size_t changes_ = 0;
  uint32_t next_set_id_ = 1;
};

// What is there: for repairs. One netlink dump each.
struct NftTableInfo {
  NftFamily family{};
  std::string name;
  std::string comment;
};
Result<std::vector<NftTableInfo>> list_tables(int netfilter);
struct NftChainInfo {
  NftFamily family{};
  std::string table;
  std::string name;
  std::optional<unsigned> hook;  // NF_INET_*; nothing: no base chain
  bool drops_by_default = false;
};
Result<std::vector<NftChainInfo>> list_chains(int netfilter);
struct NftRuleInfo {
  std::string chain;
  uint64_t handle = 0;
  std::string comment;
};
Result<std::vector<NftRuleInfo>> list_rules(int netfilter, NftFamily family, const std::string& table);
Result<std::vector<std::string>> list_sets(int netfilter, NftFamily family, const std::string& table);
Result<std::vector<NftElement>> list_elements(int netfilter, NftFamily family, const std::string& table,
                                              const std::string& set);

}  // namespace gantry::net
