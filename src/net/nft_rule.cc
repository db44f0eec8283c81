#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include "base/check.h"
#include "net/nft_batch.h"

namespace gantry::net {
namespace {

// nf_tables numbers the four-byte registers behind the five old sixteen-byte ones.
uint32_t register_number(unsigned reg) {
  CHECK(reg < 16);
  return NFT_REG32_00 + reg;
}

}  // namespace

template <class F>
void NftRule::expression(std::string_view name, F fill) {
  auto element = expressions_.nest(NFTA_LIST_ELEM);
  expressions_.attribute(NFTA_EXPR_NAME, name);
  auto data = expressions_.nest(NFTA_EXPR_DATA);
  fill(expressions_);
}

NftRule& NftRule::load_meta(unsigned key, unsigned reg) {
  expression("meta", [&](NetlinkBatch& out) {
    out.big_endian32(NFTA_META_KEY, key);
    out.big_endian32(NFTA_META_DREG, register_number(reg));
  });
  return *this;
}

void NftRule::load_payload(unsigned base, unsigned offset, unsigned length, unsigned reg) {
  expression("payload", [&](NetlinkBatch& out) {
    out.big_endian32(NFTA_PAYLOAD_DREG, register_number(reg));
    out.big_endian32(NFTA_PAYLOAD_BASE, base);
    out.big_endian32(NFTA_PAYLOAD_OFFSET, offset);
    out.big_endian32(NFTA_PAYLOAD_LEN, length);
  });
}

NftRule& NftRule::load_network_header(unsigned offset, unsigned length, unsigned reg) {
  load_payload(NFT_PAYLOAD_NETWORK_HEADER, offset, length, reg);
  return *this;
}

NftRule& NftRule::load_transport_header(unsigned offset, unsigned length, unsigned reg) {
  load_payload(NFT_PAYLOAD_TRANSPORT_HEADER, offset, length, reg);
  return *this;
}

NftRule& NftRule::store_transport_header(unsigned offset, unsigned length, unsigned checksum_offset, unsigned reg) {
  expression("payload", [&](NetlinkBatch& out) {
    out.big_endian32(NFTA_PAYLOAD_SREG, register_number(reg));
    out.big_endian32(NFTA_PAYLOAD_BASE, NFT_PAYLOAD_TRANSPORT_HEADER);
    out.big_endian32(NFTA_PAYLOAD_OFFSET, offset);
    out.big_endian32(NFTA_PAYLOAD_LEN, length);
    out.big_endian32(NFTA_PAYLOAD_CSUM_TYPE, NFT_PAYLOAD_CSUM_INET);
    out.big_endian32(NFTA_PAYLOAD_CSUM_OFFSET, checksum_offset);
  });
  return *this;
}

NftRule& NftRule::load_ct(unsigned key, unsigned reg) {
  expression("ct", [&](NetlinkBatch& out) {
    out.big_endian32(NFTA_CT_KEY, key);
    out.big_endian32(NFTA_CT_DREG, register_number(reg));
  });
  return *this;
}

NftRule& NftRule::load_destination_type(unsigned reg) {
  expression("fib", [&](NetlinkBatch& out) {
    out.big_endian32(NFTA_FIB_DREG, register_number(reg));
    out.big_endian32(NFTA_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
    out.big_endian32(NFTA_FIB_FLAGS, NFTA_FIB_F_DADDR);
  });
  return *this;
}

NftRule& NftRule::untracked() {
  expression("notrack", [](NetlinkBatch&) {});
  return *this;
}

NftRule& NftRule::mask(unsigned reg, std::string_view mask) {
  expression("bitwise", [&](NetlinkBatch& out) {
    out.big_endian32(NFTA_BITWISE_SREG, register_number(reg));
    out.big_endian32(NFTA_BITWISE_DREG, register_number(reg));
    out.big_endian32(NFTA_BITWISE_LEN, static_cast<uint32_t>(mask.size()));
    {
      auto data = out.nest(NFTA_BITWISE_MASK);
      out.attribute(NFTA_DATA_VALUE, as_bytes(mask));
    }
    auto data = out.nest(NFTA_BITWISE_XOR);
    out.attribute(NFTA_DATA_VALUE, as_bytes(std::string(mask.size(), '\0')));
  });
  return *this;
}

void NftRule::compare(unsigned operation, unsigned reg, std::string_view value) {
  expression("cmp", [&](NetlinkBatch& out) {
    out.big_endian32(NFTA_CMP_SREG, register_number(reg));
    out.big_endian32(NFTA_CMP_OP, operation);
    auto data = out.nest(NFTA_CMP_DATA);
    out.attribute(NFTA_DATA_VALUE, as_bytes(value));
  });
}

NftRule& NftRule::equals(unsigned reg, std::string_view value) {
  compare(NFT_CMP_EQ, reg, value);
  return *this;
}

NftRule& NftRule::differs(unsigned reg, std::string_view value) {
  compare(NFT_CMP_NEQ, reg, value);
  return *this;
}

NftRule& NftRule::in_set(unsigned reg, const std::string& set) {
  expression("lookup", [&](NetlinkBatch& out) {
    out.attribute(NFTA_LOOKUP_SET, set);
    out.big_endian32(NFTA_LOOKUP_SREG, register_number(reg));
  });
  return *this;
}

NftRule& NftRule::map(unsigned reg, const std::string& map, unsigned to) {
  expression("lookup", [&](NetlinkBatch& out) {
    out.attribute(NFTA_LOOKUP_SET, map);
    out.big_endian32(NFTA_LOOKUP_SREG, register_number(reg));
    out.big_endian32(NFTA_LOOKUP_DREG, register_number(to));
  });
  return *this;
}

void NftRule::verdict(int code, const std::string& chain) {
  expression("immediate", [&](NetlinkBatch& out) {
    out.big_endian32(NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
    auto data = out.nest(NFTA_IMMEDIATE_DATA);
    auto verdict = out.nest(NFTA_DATA_VERDICT);
    out.big_endian32(NFTA_VERDICT_CODE, static_cast<uint32_t>(code));
    if (!chain.empty()) out.attribute(NFTA_VERDICT_CHAIN, chain);
  });
}

NftRule& NftRule::accept() {
  verdict(NF_ACCEPT);
  return *this;
}

NftRule& NftRule::drop() {
  verdict(NF_DROP);
  return *this;
}

NftRule& NftRule::return_() {
  verdict(NFT_RETURN);
  return *this;
}

NftRule& NftRule::jump(const std::string& chain) {
  verdict(NFT_JUMP, chain);
  return *this;
}

NftRule& NftRule::go_to(const std::string& chain) {
  verdict(NFT_GOTO, chain);
  return *this;
}

NftRule& NftRule::counter() {
  expression("counter", [](NetlinkBatch&) {});
  return *this;
}

NftRule& NftRule::value(unsigned reg, std::string_view data) {
  expression("immediate", [&](NetlinkBatch& out) {
    out.big_endian32(NFTA_IMMEDIATE_DREG, register_number(reg));
    auto nested = out.nest(NFTA_IMMEDIATE_DATA);
    out.attribute(NFTA_DATA_VALUE, as_bytes(data));
  });
  return *this;
}

NftRule& NftRule::dnat(NftFamily family, unsigned address_reg, unsigned port_reg) {
  expression("nat", [&](NetlinkBatch& out) {
    out.big_endian32(NFTA_NAT_TYPE, NFT_NAT_DNAT);
    out.big_endian32(NFTA_NAT_FAMILY, static_cast<uint32_t>(family));
    out.big_endian32(NFTA_NAT_REG_ADDR_MIN, register_number(address_reg));
    out.big_endian32(NFTA_NAT_REG_PROTO_MIN, register_number(port_reg));
  });
  return *this;
}

NftRule& NftRule::masquerade() {
  expression("masq", [](NetlinkBatch&) {});
  return *this;
}

NftRule& NftRule::comment(std::string_view text) {
  comment_ = text;
  return *this;
}

}  // namespace gantry::net
