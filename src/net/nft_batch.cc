#include "net/nft_batch.h"

#include <arpa/inet.h>
#include <linux/if.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "base/check.h"

namespace gantry::net {
namespace {

constexpr uint16_t message_type(unsigned type) { return static_cast<uint16_t>(NFNL_SUBSYS_NFTABLES << 8 | type); }

nfgenmsg head_of(NftFamily family) { return {.nfgen_family = static_cast<uint8_t>(family), .version = NFNETLINK_V0}; }

std::string as_text(Bytes bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

size_t padded(size_t size) { return (size + 3) & ~size_t{3}; }

size_t key_size(const std::vector<NftType>& types) {
  if (types.size() == 1) return size_of(types[0]);  // only the parts of a concatenation are padded
  size_t size = 0;
  for (NftType type : types) size += padded(size_of(type));
  return size;
}

// How the `nft` program packs the types of a concatenation: six bits each.
uint32_t type_number(const std::vector<NftType>& types) {
  uint32_t number = 0;
  for (NftType type : types) number = number << 6 | static_cast<uint32_t>(type);
  return number;
}

void add_value(NetlinkBatch& out, uint16_t type, const std::string& value) {
  auto data = out.nest(type);
  out.attribute(NFTA_DATA_VALUE, as_bytes(value));
}

// The `nft` program's form of a comment in the user data of a table or rule: type 0, length, text with its zero.
std::string comment_data(std::string_view text) {
  CHECK(text.size() < 128);
  return std::string{'\0', static_cast<char>(text.size() + 1)} + std::string(text) + '\0';
}

std::string comment_in(Bytes user_data) {
  if (user_data.size() < 3 || user_data[0] != 0) return {};
  size_t length = std::min<size_t>(user_data[1], user_data.size() - 2);
  return as_text(user_data.subspan(2, length == 0 ? 0 : length - 1));
}

// Keeps one message's element list below the 64 KiB that an attribute can hold.
constexpr size_t kElementsPerMessage = 256;

void begin_dump(NetlinkBatch& request, unsigned type, uint16_t flags, NftFamily family, const char* what) {
  request.begin(message_type(type), flags, what);
  request.header(head_of(family));
}

}  // namespace

size_t size_of(NftType type) {
  switch (type) {
    case NftType::protocol_family:
      return 1;
    case NftType::protocol:
      return 1;
    case NftType::port:
      return 2;
    case NftType::ipv4:
      return 4;
    case NftType::ipv6:
      return 16;
    case NftType::interface_name:
      return IFNAMSIZ;
  }
  CHECK(false);
}

std::string padded_key(const std::vector<NftType>& types, const std::vector<std::string>& parts) {
  CHECK(types.size() == parts.size());
  std::string key;
  for (size_t i = 0; i < types.size(); ++i) {
    CHECK(parts[i].size() <= size_of(types[i]));
    std::string part = parts[i];
    part.resize(types.size() == 1 ? size_of(types[i]) : padded(size_of(types[i])), '\0');
    key += part;
  }
  return key;
}

NftBatch::NftBatch(NftFamily family, std::string table) : family_(family), table_(std::move(table)) {
  batch_.begin(NFNL_MSG_BATCH_BEGIN, 0, "begin nftables transaction");
  batch_.header(nfgenmsg{.nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0, .res_id = htons(NFNL_SUBSYS_NFTABLES)});
}

void NftBatch::begin(unsigned type, unsigned flags, const std::string& what) {
  batch_.begin(message_type(type), static_cast<uint16_t>(flags), what + " in nftables table " + table_);
  batch_.header(head_of(family_));
  ++changes_;
}

void NftBatch::add_table(std::string_view comment) {
  begin(NFT_MSG_NEWTABLE, NLM_F_CREATE, "make rules");
  batch_.attribute(NFTA_TABLE_NAME, table_);
  if (!comment.empty()) batch_.attribute(NFTA_TABLE_USERDATA, as_bytes(comment_data(comment)));
}

void NftBatch::delete_table() {
  begin(NFT_MSG_DELTABLE, 0, "remove rules");
  batch_.attribute(NFTA_TABLE_NAME, table_);
}

void NftBatch::replace_table(std::string_view comment) {
  add_table();  // deleting one that is missing would be an error
  delete_table();
  add_table(comment);
}

void NftBatch::add_chain(const std::string& name) {
  begin(NFT_MSG_NEWCHAIN, NLM_F_CREATE, "make chain " + name);
  batch_.attribute(NFTA_CHAIN_TABLE, table_);
  batch_.attribute(NFTA_CHAIN_NAME, name);
}

void NftBatch::add_base_chain(const NftBaseChain& chain) {
  add_chain(chain.name);
  {
    auto hook = batch_.nest(NFTA_CHAIN_HOOK);
    batch_.big_endian32(NFTA_HOOK_HOOKNUM, chain.hook);
    batch_.big_endian32(NFTA_HOOK_PRIORITY, static_cast<uint32_t>(chain.priority));
  }
  batch_.big_endian32(NFTA_CHAIN_POLICY, NF_ACCEPT);
  batch_.attribute(NFTA_CHAIN_TYPE, chain.type);
}

void NftBatch::add_set(const NftSet& set) {
  begin(NFT_MSG_NEWSET, NLM_F_CREATE, "make set " + set.name);
  batch_.attribute(NFTA_SET_TABLE, table_);
  batch_.attribute(NFTA_SET_NAME, set.name);
  uint32_t flags = 0;
  if (set.interval) flags |= NFT_SET_INTERVAL;
  if (!set.value.empty()) flags |= NFT_SET_MAP;
  if (set.key.size() > 1) flags |= NFT_SET_CONCAT;
  batch_.big_endian32(NFTA_SET_FLAGS, flags);
  batch_.big_endian32(NFTA_SET_KEY_TYPE, type_number(set.key));
  batch_.big_endian32(NFTA_SET_KEY_LEN, static_cast<uint32_t>(key_size(set.key)));
  if (!set.value.empty()) {
    batch_.big_endian32(NFTA_SET_DATA_TYPE, type_number(set.value));
    batch_.big_endian32(NFTA_SET_DATA_LEN, static_cast<uint32_t>(key_size(set.value)));
  }
  batch_.big_endian32(NFTA_SET_ID, next_set_id_++);
  if (set.key == std::vector{NftType::interface_name}) {
    // For the `nft` program's listing only, which would take the name for a big-endian number (libnftnl/udata.h:
    // NFTNL_UDATA_SET_KEYBYTEORDER is 0; its BYTEORDER_HOST_ENDIAN is 1).
    const uint8_t host_byte_order[] = {0, 4, 1, 0, 0, 0};
    batch_.attribute(NFTA_SET_USERDATA, Bytes(host_byte_order));
  }
  if (set.key.size() > 1) {
    auto description = batch_.nest(NFTA_SET_DESC);
    auto concatenation = batch_.nest(NFTA_SET_DESC_CONCAT);
    for (NftType type : set.key) {
      auto field = batch_.nest(NFTA_LIST_ELEM);
      batch_.big_endian32(NFTA_SET_FIELD_LEN, static_cast<uint32_t>(size_of(type)));
    }
  }
}

void NftBatch::rule(const std::string& chain, const NftRule& rule, unsigned flags) {
  begin(NFT_MSG_NEWRULE, NLM_F_CREATE | flags, "add rule to chain " + chain);
  batch_.attribute(NFTA_RULE_TABLE, table_);
  batch_.attribute(NFTA_RULE_CHAIN, chain);
  batch_.attribute(NFTA_RULE_EXPRESSIONS | NLA_F_NESTED, rule.expressions_.bytes());
  if (!rule.comment_.empty()) batch_.attribute(NFTA_RULE_USERDATA, as_bytes(comment_data(rule.comment_)));
}

void NftBatch::add_rule(const std::string& chain, const NftRule& one) { rule(chain, one, NLM_F_APPEND); }
void NftBatch::insert_rule(const std::string& chain, const NftRule& one) { rule(chain, one, 0); }

void NftBatch::delete_rule(const std::string& chain, uint64_t handle) {
  begin(NFT_MSG_DELRULE, 0, "remove rule from chain " + chain);
  batch_.attribute(NFTA_RULE_TABLE, table_);
  batch_.attribute(NFTA_RULE_CHAIN, chain);
  batch_.big_endian64(NFTA_RULE_HANDLE, handle);
}

void NftBatch::elements(unsigned type, unsigned flags, const NftSet& set, const std::vector<NftElement>& elements) {
  for (size_t at = 0; at < elements.size(); at += kElementsPerMessage) {
    begin(type, flags, (type == NFT_MSG_NEWSETELEM ? "add to set " : "remove from set ") + set.name);
    batch_.attribute(NFTA_SET_ELEM_LIST_TABLE, table_);
    batch_.attribute(NFTA_SET_ELEM_LIST_SET, set.name);
    auto list = batch_.nest(NFTA_SET_ELEM_LIST_ELEMENTS);
    for (size_t i = at; i < std::min(elements.size(), at + kElementsPerMessage); ++i) {
      auto element = batch_.nest(NFTA_LIST_ELEM);
      add_value(batch_, NFTA_SET_ELEM_KEY, elements[i].key);
      if (!elements[i].key_end.empty()) add_value(batch_, NFTA_SET_ELEM_KEY_END, elements[i].key_end);
      if (!elements[i].value.empty() && type == NFT_MSG_NEWSETELEM) {
        add_value(batch_, NFTA_SET_ELEM_DATA, elements[i].value);
      }
    }
  }
}

void NftBatch::add_elements(const NftSet& set, const std::vector<NftElement>& list) {
  elements(NFT_MSG_NEWSETELEM, NLM_F_CREATE, set, list);
}

void NftBatch::delete_elements(const NftSet& set, const std::vector<NftElement>& list) {
  elements(NFT_MSG_DELSETELEM, 0, set, list);
}

void NftBatch::flush_set(const NftSet& set) {
  begin(NFT_MSG_DELSETELEM, 0, "empty set " + set.name);
  batch_.attribute(NFTA_SET_ELEM_LIST_TABLE, table_);
  batch_.attribute(NFTA_SET_ELEM_LIST_SET, set.name);
}

Result<> NftBatch::commit(int netfilter) {
  if (empty()) return {};
  batch_.begin(NFNL_MSG_BATCH_END, 0, "end nftables transaction");
  batch_.header(nfgenmsg{.nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0, .res_id = htons(NFNL_SUBSYS_NFTABLES)});
  return exchange(netfilter, batch_);
}

Result<std::vector<NftTableInfo>> list_tables(int netfilter) {
  NetlinkBatch request;
  begin_dump(request, NFT_MSG_GETTABLE, NLM_F_DUMP, NftFamily{0}, "list nftables tables");
  std::vector<NftTableInfo> tables;
  TRY(dump(netfilter, request, [&](uint16_t, Bytes payload) {
    auto head = read_header<nfgenmsg>(payload);
    if (!head) return;
    NftTableInfo table{.family = static_cast<NftFamily>(head->nfgen_family)};
    for (const Attribute& attribute : parse_attributes(behind_header(payload, sizeof(nfgenmsg)))) {
      if (attribute.type == NFTA_TABLE_NAME) table.name = attribute.text();
      if (attribute.type == NFTA_TABLE_USERDATA) table.comment = comment_in(attribute.value);
    }
    tables.push_back(std::move(table));
  }));
  return tables;
}

Result<std::vector<NftChainInfo>> list_chains(int netfilter) {
  NetlinkBatch request;
  begin_dump(request, NFT_MSG_GETCHAIN, NLM_F_DUMP, NftFamily{0}, "list nftables chains");
  std::vector<NftChainInfo> chains;
  TRY(dump(netfilter, request, [&](uint16_t, Bytes payload) {
    auto head = read_header<nfgenmsg>(payload);
    if (!head) return;
    NftChainInfo chain{.family = static_cast<NftFamily>(head->nfgen_family)};
    for (const Attribute& attribute : parse_attributes(behind_header(payload, sizeof(nfgenmsg)))) {
      if (attribute.type == NFTA_CHAIN_TABLE) chain.table = attribute.text();
      if (attribute.type == NFTA_CHAIN_NAME) chain.name = attribute.text();
      if (attribute.type == NFTA_CHAIN_HOOK) {
        auto number = find_attribute(attribute.value, NFTA_HOOK_HOOKNUM);
        if (number) chain.hook = number->big_endian();
      }
      if (attribute.type == NFTA_CHAIN_POLICY) chain.drops_by_default = attribute.big_endian() == NF_DROP;
    }
    chains.push_back(std::move(chain));
  }));
  return chains;
}

Result<std::vector<NftRuleInfo>> list_rules(int netfilter, NftFamily family, const std::string& table) {
  NetlinkBatch request;
  begin_dump(request, NFT_MSG_GETRULE, NLM_F_DUMP, family, "list nftables rules");
  request.attribute(NFTA_RULE_TABLE, table);
  std::vector<NftRuleInfo> rules;
  TRY(dump(netfilter, request, [&](uint16_t, Bytes payload) {
    NftRuleInfo rule;
    bool ours = false;
    for (const Attribute& attribute : parse_attributes(behind_header(payload, sizeof(nfgenmsg)))) {
      if (attribute.type == NFTA_RULE_TABLE) ours = attribute.text() == table;
      if (attribute.type == NFTA_RULE_CHAIN) rule.chain = attribute.text();
      if (attribute.type == NFTA_RULE_USERDATA) rule.comment = comment_in(attribute.value);
      if (attribute.type == NFTA_RULE_HANDLE) {
        for (uint8_t byte : attribute.value) rule.handle = rule.handle << 8 | byte;
      }
    }
    if (ours) rules.push_back(std::move(rule));
  }));
  return rules;
}

Result<std::vector<std::string>> list_sets(int netfilter, NftFamily family, const std::string& table) {
  NetlinkBatch request;
  begin_dump(request, NFT_MSG_GETSET, NLM_F_DUMP, family, "list nftables sets");
  request.attribute(NFTA_SET_TABLE, table);
  std::vector<std::string> names;
  TRY(dump(netfilter, request, [&](uint16_t, Bytes payload) {
    auto name = find_attribute(behind_header(payload, sizeof(nfgenmsg)), NFTA_SET_NAME);
    if (name) names.emplace_back(name->text());
  }));
  return names;
}

Result<std::vector<NftElement>> list_elements(int netfilter, NftFamily family, const std::string& table,
                                              const std::string& set) {
  NetlinkBatch request;
  begin_dump(request, NFT_MSG_GETSETELEM, NLM_F_DUMP, family, "list nftables elements");
  request.attribute(NFTA_SET_ELEM_LIST_TABLE, table);
  request.attribute(NFTA_SET_ELEM_LIST_SET, set);
  auto value_of = [](Bytes element, uint16_t type) {
    auto outer = find_attribute(element, type);
    auto inner = outer ? find_attribute(outer->value, NFTA_DATA_VALUE) : std::nullopt;
    return inner ? as_text(inner->value) : std::string();
  };
  std::vector<NftElement> found;
  TRY(dump(netfilter, request, [&](uint16_t, Bytes payload) {
    auto list = find_attribute(behind_header(payload, sizeof(nfgenmsg)), NFTA_SET_ELEM_LIST_ELEMENTS);
    if (!list) return;
    for (const Attribute& element : parse_attributes(list->value)) {
      found.push_back({.key = value_of(element.value, NFTA_SET_ELEM_KEY),
                       .key_end = value_of(element.value, NFTA_SET_ELEM_KEY_END),
                       .value = value_of(element.value, NFTA_SET_ELEM_DATA)});
    }
  }));
  return found;
}

}  // namespace gantry::net
