#include "net/dns_protocol.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace gantry::net {
namespace {

DnsRequest full_client(DnsCommand command) {
  return {.command = command,
          .client = {.id = "c1",
                     .networks = {"n1", "n2"},
                     .upstreams = {*IpAddress::parse("1.1.1.1"), *IpAddress::parse("fd00::1")},
                     .own_upstreams = true,
                     .internal_only = true,
                     .sets_ndots = false,
                     .links = {{"db", "shop-postgres-1"}}}};
}

DnsRequest full_record() {
  return {.command = DnsCommand::publish,
          .key = "e1",
          .record = {.network_id = "n1",
                     .network_name = "app_default",
                     .names = {"web", ""},
                     .addresses = {*IpAddress::parse("10.0.0.1")}}};
}

TEST(DnsProtocol, WhatIsEncodedIsDecoded) {
  for (DnsCommand command : {DnsCommand::add_client, DnsCommand::update_client}) {
    DnsRequest sent = full_client(command);
    auto got = decode_dns_request(encode_dns_request(sent));
    ASSERT_TRUE(got.ok());
    EXPECT_EQ(got->command, command);
    EXPECT_EQ(got->client.id, sent.client.id);
    EXPECT_EQ(got->client.networks, sent.client.networks);
    EXPECT_EQ(got->client.upstreams, sent.client.upstreams);
    EXPECT_TRUE(got->client.internal_only);
    EXPECT_TRUE(got->client.own_upstreams);
    EXPECT_FALSE(got->client.sets_ndots);
    EXPECT_EQ(got->client.links, sent.client.links);
  }
  const UserForward forward{.protocol = 17,
                            .host = *IpAddress::parse("::"),
                            .host_port = 8053,
                            .target = *IpAddress::parse("10.0.0.2"),
                            .target_port = 53};
  for (DnsCommand command : {DnsCommand::carry, DnsCommand::stop_carrying}) {
    auto carried = decode_dns_request(encode_dns_request({.command = command, .forwards = {forward}}));
    ASSERT_TRUE(carried.ok());
    EXPECT_EQ(carried->forwards, std::vector<UserForward>{forward});
  }
  auto got = decode_dns_request(encode_dns_request(full_record()));
  ASSERT_TRUE(got.ok());
  EXPECT_EQ(got->key, "e1");
  EXPECT_EQ(got->record.network_id, "n1");
  EXPECT_EQ(got->record.network_name, "app_default");
  EXPECT_EQ(got->record.names, (std::vector<std::string>{"web", ""}));
  EXPECT_EQ(got->record.addresses, full_record().record.addresses);
  for (DnsCommand command : {DnsCommand::hello, DnsCommand::quit, DnsCommand::synchronised}) {
    EXPECT_EQ(decode_dns_request(encode_dns_request({.command = command}))->command, command);
  }
}

TEST(DnsProtocol, BrokenMessagesAreRefused) {
  EXPECT_FALSE(decode_dns_request("").ok());
  EXPECT_FALSE(decode_dns_request("\x63").ok());
  EXPECT_FALSE(decode_dns_request(std::string(1, '\0')).ok());
  EXPECT_FALSE(decode_dns_request(encode_dns_request({.command = DnsCommand::carry})).ok()) << "carry what?";
  std::string whole = encode_dns_request(full_record());
  for (size_t size = 1; size < whole.size(); ++size)
    EXPECT_FALSE(decode_dns_request(whole.substr(0, size)).ok()) << size;
  EXPECT_FALSE(decode_dns_request(whole + "x").ok());
  SeededRandom random(5);
  for (int i = 0; i < 20000; ++i) {
    std::string broken = whole;
    broken[1 + random.below(broken.size() - 1)] = static_cast<char>(random.below(256));
    (void)decode_dns_request(broken);
  }
}

}  // namespace
}  // namespace gantry::net
