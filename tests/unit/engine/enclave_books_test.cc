#include "engine/enclave_books.h"

#include <gtest/gtest.h>

namespace gantry::engine {
namespace {

NetworkRecord network(const std::string& id, const std::string& project = {}) {
  NetworkRecord record;
  record.id = NetworkId(id);
  record.spec.name = id;
  if (!project.empty()) record.spec.labels["com.docker.compose.project"] = project;
  return record;
}

NetworkRecord joined(EnclaveBooks& books, NetworkRecord record, const std::vector<net::Subnet>& in_use = {}) {
  const auto done = books.join(record, in_use);
  EXPECT_TRUE(done.ok()) << (done.ok() ? "" : done.error().message());
  return record;
}

TEST(EnclaveBooks, AProjectsNetworksShareOneEnclaveAndOthersHaveTheirOwn) {
  EnclaveBooks books;
  const NetworkRecord front = joined(books, network("a", "shop"));
  const NetworkRecord back = joined(books, network("b", "shop"));
  const NetworkRecord other = joined(books, network("c", "shop2"));
  const NetworkRecord lone = joined(books, network("d"));
  EXPECT_EQ(front.enclave, back.enclave);
  EXPECT_EQ(front.uplink, "198.18.0.2/20");
  EXPECT_EQ(back.uplink, "198.18.0.2/20");
  EXPECT_EQ(other.uplink, "198.18.0.3/20");
  EXPECT_EQ(lone.uplink, "198.18.0.4/20");
  EXPECT_EQ(std::set({front.enclave, other.enclave, lone.enclave}).size(), 3u);
  const auto place = enclave_of(other);
  ASSERT_TRUE(place);
  EXPECT_EQ(place->address.to_string() + " " + place->uplink.to_string() + " " + place->gateway.to_string(),
            "198.18.0.3 198.18.0.0/20 198.18.0.1");
  EXPECT_FALSE(enclave_of(network("e")));
}

TEST(EnclaveBooks, TheUplinkKeepsAwayFromWhatTheHostHas) {
  EnclaveBooks books;
  EXPECT_EQ(joined(books, network("a"), {*net::Subnet::parse("198.18.7.0/24")}).uplink, "198.18.16.2/20");
}

TEST(EnclaveBooks, SubnetsInsideAreAnybodysButTheUplinks) {
  EnclaveBooks books;
  const NetworkRecord one = joined(books, network("a"));
  const NetworkRecord two = joined(books, network("b"));
  const auto add = [&](const NetworkRecord& record, const char* subnet) {
    net::Ipam::Network wanted;
    wanted.id = record.id.str();
    wanted.subnet = *net::Subnet::parse(subnet);
    const auto added = books.ipam(record.enclave)->add_network(wanted);
    return added.ok() ? "fine" : added.error().message();
  };
  EXPECT_EQ(add(one, "10.1.0.0/24"), "fine");
  EXPECT_EQ(add(two, "10.1.0.0/24"), "fine");
  EXPECT_EQ(add(one, "198.18.1.0/24"), "Pool overlaps with other one on this address space");
}

TEST(EnclaveBooks, TheLastNetworkGivesTheAddressBackAndARecordedOneIsTakenAgain) {
  EnclaveBooks books;
  const NetworkRecord front = joined(books, network("a", "shop"));
  const NetworkRecord back = joined(books, network("b", "shop"));
  books.leave(front);
  books.leave(front);
  EXPECT_TRUE(books.uplink());
  books.leave(back);
  EXPECT_FALSE(books.uplink());
  // As the next daemon finds them, in any order.
  EnclaveBooks next;
  NetworkRecord late = network("c", "late");
  late.enclave = "0123456789ab";
  late.uplink = "198.18.32.9/20";
  EXPECT_EQ(joined(next, late).enclave, "0123456789ab");
  EXPECT_EQ(joined(next, network("d")).uplink, "198.18.32.2/20");
}

}  // namespace
}  // namespace gantry::engine
