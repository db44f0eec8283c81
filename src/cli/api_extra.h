// Answers of the routes behind top, stats, wait, cp, volumes and generate, as plain values. As api_types.h.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cli/api_types.h"
#include "cli/diagnosis.h"

namespace gantry::cli {

// GET /containers/ID/top: `ps` as a table.
struct ProcessTable {
  std::vector<std::string> titles;
  std::vector<std::vector<std::string>> rows;  // each as long as `titles`
};
Result<ProcessTable> parse_processes(std::string_view json);

// One sample of GET /containers/ID/stats. Percentages are of one CPU, and of the memory limit.
struct ContainerStats {
  double cpu_percent = 0;
  uint64_t memory = 0;  // without the page cache that can be dropped
  uint64_t memory_limit = 0;
  uint64_t network_received = 0;
  uint64_t network_sent = 0;
  uint64_t block_read = 0;
  uint64_t block_written = 0;
  uint64_t pids = 0;
  double memory_percent() const {
    return memory_limit == 0 ? 0 : 100.0 * static_cast<double>(memory) / static_cast<double>(memory_limit);
  }
};
Result<ContainerStats> parse_stats(std::string_view json);
// A line of `stats --format json`.
std::string stats_json(const std::vector<std::pair<std::string, std::string>>& fields);

// GET /images/NAME/json: when the image got its name here, RFC 3339; "" if it is not told.
Result<std::string> parse_last_tag_time(std::string_view json);

// GET /containers/ID/json for `why`; without service and log.
Result<ContainerStory> parse_story(std::string_view json);

// The header X-Docker-Container-Path-Stat, base64 of JSON. The mode is Go's: the top bit says directory, bit 27 says
// symbolic link.
struct PathStat {
  std::string name;
  uint64_t size = 0;
  uint32_t mode = 0;
  std::string link_target;
  bool is_directory() const { return (mode & (uint32_t{1} << 31)) != 0; }
  bool is_symlink() const { return (mode & (uint32_t{1} << 27)) != 0; }
};
Result<PathStat> parse_path_stat(std::string_view header);

struct VolumeDetails {
  std::string name;
  std::string driver;
  std::string mountpoint;
  std::string scope;
  StringMap labels;
};
Result<std::vector<VolumeDetails>> parse_volume_details(std::string_view json);
std::string volume_json(const VolumeDetails& volume);  // one line of `volumes --format json`

// A line of `events --json`.
std::string event_json(const EngineEvent& event, std::string_view service, std::string_view time);

// The digest of GET /distribution/NAME/json.
Result<std::string> parse_distribution(std::string_view json);

// POST /containers/create of an image that gets some directories, as a user of this machine ("" = the image's).
std::string transformation_body(const std::string& image, const std::vector<std::string>& binds, const std::string& user);
std::string transformations_json(const std::vector<ImageRow>& rows);

// A file of an artifact, and the body of POST /gantry/v1/artifacts.
struct ArtifactPart {
  std::string media_type;
  std::string content;
  StringMap annotations;
};
std::string artifact_body(const std::string& type, const std::string& oci_version, const std::vector<ArtifactPart>& parts);

// The body of PUT /gantry/v1/projects/NAME/lease. Zeros: none.
struct LeaseWish {
  int pid = 0;
  uint64_t pid_started = 0;
  int64_t seconds = 0;
  bool volumes = false;
};
std::string lease_body(const LeaseWish& lease);

}  // namespace gantry::cli
