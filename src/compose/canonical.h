// Short syntax → long syntax, attribute by attribute (compose-file.md section 4). Each function works in place, leaves
// alone what is already long or not of a kind it knows, and reports texts it cannot read. Pure; any thread.
#pragma once

#include <string>

#include "compose/report.h"
#include "compose/yaml_tree.h"

namespace gantry::compose::canonical {

void string_list(Node& node, const Path& path, Report& report);      // "a" → ["a"]
void labels(Node& node, const Path& path, Report& report);           // list or mapping → mapping of strings
void environment(Node& node, const Path& path, Report& report);      // the same; null stays
void key_values(Node& node, const Path& path, Report& report);       // additional_contexts: k=v required
void ssh(Node& node, const Path& path, Report& report);              // → ["default", "id=path"]
void build(Node& node, const Path& path, Report& report);            // "ctx" → {context: ctx}
void command(Node& node, const Path& path, Report& report);          // shell words
void health_test(Node& node, const Path& path, Report& report);      // text → [CMD-SHELL, text]
void depends_on(Node& node, const Path& path, Report& report);
void null_map(Node& node, const Path& path, Report& report);         // [a] → {a: null}: networks, models
void devices(Node& node, const Path& path, Report& report);
void env_files(Node& node, const Path& path, Report& report);
void extra_hosts(Node& node, const Path& path, Report& report);
void gpus(Node& node, const Path& path, Report& report);
void device_request(Node& node, const Path& path, Report& report);
void file_references(Node& node, const Path& path, Report& report);  // secrets, configs of a service
void ports(Node& node, const Path& path, Report& report);
void volumes(Node& node, const Path& path, Report& report);
void external(Node& node, const Path& path, Report& report);         // {external: {name: x}}
void text_list(Node& node, const Path& path, Report& report);        // numbers → strings: expose, group_add
void provider_options(Node& node, const Path& path, Report& report); // a → [a]

// Identities (Merge::unique).
std::string item_text(const Node& item);
std::string before_equals(const Node& item);   // cap_add
std::string before_colon(const Node& item);    // tmpfs
std::string mount_target(const Node& item);    // volumes, devices
std::string secret_target(const Node& item);
std::string config_target(const Node& item);
std::string port_identity(const Node& item);
std::string file_path(const Node& item);       // env_file

}  // namespace gantry::compose::canonical
