// Where one daemon and its clients meet: the data root (what is kept) and the run root (sockets, gone at boot).
// Any number of daemons with different data roots can run side by side. Pure but for the working directory.
#pragma once

#include <filesystem>
#include <string>

namespace gantry {

inline constexpr const char* kDefaultDataRoot = "/var/lib/gantry";
inline constexpr const char* kDefaultRunRoot = "/run/gantry";

struct Roots {
  std::filesystem::path data;  // absolute, normal form
  std::filesystem::path run;
  bool is_default() const;
  std::filesystem::path socket() const { return run / "gantry.sock"; }
};

// Empty arguments mean "not given". A data root of its own without a run root gets a run root of its own, too:
// else its clients would talk to the default daemon.
Roots resolve_roots(const std::string& data_root, const std::string& run_root);

// Six hexadecimal digits that name the daemon of this data root in the kernel (nftables table, cgroups).
std::string instance_tag(const std::filesystem::path& data_root);

}  // namespace gantry
