// The compose format, attribute by attribute. The order within a mapping is the order of `config`'s output.
#include "base/strings.h"
#include "compose/canonical.h"
#include "compose/schema.h"

namespace gantry::compose {
namespace {

// ---- texts with a form

bool letter_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool is_name(std::string_view text) {
  for (char c : text) {
    if (!letter_or_digit(c) && c != '.' && c != '_' && c != '-') return false;
  }
  return !text.empty();
}

bool is_container_name(std::string_view text) { return text.size() > 1 && is_name(text) && letter_or_digit(text[0]); }

bool is_pull_policy(std::string_view text) {
  for (const char* word : {"always", "never", "build", "if_not_present", "missing", "refresh", "daily", "weekly"}) {
    if (text == word) return true;
  }
  if (!text.starts_with("every_") || text.size() == 6) return false;
  text.remove_prefix(6);
  while (!text.empty()) {
    size_t digits = 0;
    while (digits < text.size() && text[digits] >= '0' && text[digits] <= '9') ++digits;
    if (digits == 0 || digits == text.size()) return false;
    if (std::string_view("wdhms").find(text[digits]) == std::string_view::npos) return false;
    text.remove_prefix(digits + 1);
  }
  return true;
}

bool is_restart(std::string_view text) {
  if (text == "no" || text == "always" || text == "unless-stopped" || text == "on-failure") return true;
  return text.starts_with("on-failure:") && parse_unsigned(text.substr(11)).has_value();
}

// ---- scalars

constexpr Shape kText{.accepts = kString};
constexpr Shape kTextPrintedEmpty{.accepts = kString, .printed_when_zero = true};
constexpr Shape kTextOrNull{.accepts = kString | kNull};
constexpr Shape kBool{.accepts = kBoolean | kString, .format = Format::boolean};
constexpr Shape kBoolPrinted{.accepts = kBoolean | kString, .format = Format::boolean, .printed_when_zero = true};
constexpr Shape kStrictBool{.accepts = kBoolean};
constexpr Shape kInt{.accepts = kInteger | kString, .format = Format::integer};
constexpr Shape kIntPrinted{.accepts = kInteger | kString, .format = Format::integer, .printed_when_zero = true};
constexpr Shape kCount{
    .accepts = kInteger | kString, .format = Format::integer, .printed_when_zero = true, .minimum = 0};
constexpr Shape kAmount{.accepts = kInteger | kNumber | kString, .format = Format::integer};
constexpr Shape kRetries{.accepts = kInteger | kNumber | kString, .format = Format::integer, .printed_when_zero = true,
                         .minimum = 0};
constexpr Shape kStrictInt{.accepts = kInteger | kNumber, .format = Format::integer};
constexpr Shape kFraction{.accepts = kInteger | kNumber | kString, .format = Format::float32};
constexpr Shape kPercent{.accepts = kInteger | kString, .format = Format::integer, .minimum = 0, .maximum = 100};
constexpr Shape kCpuCount{.accepts = kInteger | kString, .format = Format::integer, .minimum = 0};
constexpr Shape kOomScore{.accepts = kInteger | kString, .format = Format::integer, .minimum = -1000, .maximum = 1000};
constexpr Shape kBytes{.accepts = kInteger | kNumber | kString, .format = Format::bytes};
constexpr Shape kMemoryText{.accepts = kString, .format = Format::bytes};
constexpr Shape kTmpfsSize{.accepts = kInteger | kString, .format = Format::bytes, .minimum = 0};
constexpr Shape kDuration{.accepts = kString, .format = Format::duration, .printed_when_zero = true};
constexpr Shape kMode{.accepts = kInteger | kNumber | kString, .format = Format::octal_mode};
constexpr Shape kWeight{.accepts = kInteger | kString, .format = Format::integer, .minimum = 10, .maximum = 1000};
constexpr Shape kRate{.accepts = kInteger | kString, .format = Format::bytes};
constexpr Shape kAnyText{.accepts = kBoolean | kInteger | kNumber | kString, .format = Format::text,
                         .null_overrides = true, .printed_when_zero = true};
constexpr Shape kAnyTextOrNull{.accepts = kBoolean | kInteger | kNumber | kString | kNull, .format = Format::text,
                               .null_overrides = true, .printed_when_zero = true};
constexpr Shape kNumberOrText{.accepts = kInteger | kNumber | kString, .format = Format::text,
                              .printed_when_zero = true};

constexpr const char* kCgroupWords[] = {"host", "private"};
constexpr Shape kCgroup{.accepts = kString, .one_of = kCgroupWords};
constexpr Shape kContainerName{.accepts = kString, .matches = is_container_name,
                               .pattern = "two or more of letters, digits, '_', '.', '-', the first a letter or digit",
                               .regex = "^[a-zA-Z0-9][a-zA-Z0-9_.-]+$"};
constexpr Shape kPullPolicy{.accepts = kString, .matches = is_pull_policy,
                            .pattern = "always, never, build, missing, refresh, daily, weekly or every_<time>",
                            .regex = "^(always|never|build|if_not_present|missing|refresh|daily|weekly|"
                                     "every_([0-9]+[wdhms])+)$"};
constexpr Shape kRestart{.accepts = kString, .matches = is_restart,
                         .pattern = "no, always, unless-stopped or on-failure[:<times>]",
                         .regex = "^(no|always|unless-stopped|on-failure(:[0-9]+)?)$"};

// ---- lists and user-keyed mappings of scalars

constexpr Shape kTextList{.accepts = kList, .items = &kText};
constexpr Shape kTextOrList{.accepts = kString | kList, .canonical = canonical::string_list, .items = &kText};
constexpr Shape kCapabilities{
    .accepts = kList, .merge = Merge::unique, .identity = canonical::before_equals, .items = &kText};
constexpr Shape kSet{.accepts = kList, .merge = Merge::unique, .identity = canonical::item_text, .items = &kText};
constexpr Shape kUniqueSet{.accepts = kList, .merge = Merge::unique, .identity = canonical::item_text, .items = &kText,
                           .unique_items = true};
constexpr Shape kTextOrSet{.accepts = kString | kList, .merge = Merge::unique, .canonical = canonical::string_list,
                           .identity = canonical::item_text, .items = &kText};
constexpr Shape kNumbersOrTexts{.accepts = kInteger | kString, .format = Format::text};
constexpr Shape kExpose{.accepts = kList, .merge = Merge::unique, .canonical = canonical::text_list,
                        .identity = canonical::item_text, .items = &kNumbersOrTexts, .unique_items = true};
constexpr Shape kLabels{.accepts = kList | kMapping, .canonical = canonical::labels, .values = &kAnyText};
constexpr Shape kEnvironment{
    .accepts = kList | kMapping, .canonical = canonical::environment, .values = &kAnyTextOrNull};
constexpr Shape kKeyValues{.accepts = kList | kMapping, .canonical = canonical::key_values, .values = &kAnyText};
constexpr Shape kSsh{.accepts = kList | kMapping, .merge = Merge::unique, .canonical = canonical::ssh,
                     .identity = canonical::before_equals, .items = &kText};
constexpr Shape kOptions{.accepts = kMapping, .values = &kNumberOrText};
constexpr Shape kTextMap{.accepts = kMapping, .values = &kText};
constexpr Shape kCommand{.accepts = kNull | kString | kList, .merge = Merge::replace, .canonical = canonical::command,
                         .items = &kText, .printed_when_zero = true};
constexpr Shape kHookCommand{
    .accepts = kString | kList, .merge = Merge::replace, .canonical = canonical::command, .items = &kText};
constexpr Shape kExtraHosts{.accepts = kList | kMapping, .merge = Merge::unique, .canonical = canonical::extra_hosts,
                            .identity = canonical::item_text, .items = &kText};

constexpr Field kUlimitFields[] = {{"soft", &kIntPrinted, true}, {"hard", &kIntPrinted, true}};
constexpr Shape kUlimit{.accepts = kInteger | kString | kMapping, .format = Format::integer, .fields = kUlimitFields,
                        .extensions = true, .printed_when_zero = true};
constexpr Shape kUlimits{.accepts = kMapping, .merge = Merge::entries, .values = &kUlimit};

// ---- secrets and configs of a service or a build

constexpr Field kReferenceFields[] = {
    {"source", &kText}, {"target", &kText}, {"uid", &kText}, {"gid", &kText}, {"mode", &kMode},
};
constexpr Shape kReference{.accepts = kMapping, .fields = kReferenceFields, .extensions = true};
constexpr Shape kSecretReferences{.accepts = kList, .merge = Merge::unique, .canonical = canonical::file_references,
                                  .identity = canonical::secret_target, .items = &kReference};
constexpr Shape kConfigReferences{.accepts = kList, .merge = Merge::unique, .canonical = canonical::file_references,
                                  .identity = canonical::config_target, .items = &kReference};
constexpr Shape kBuildSecrets{.accepts = kList, .canonical = canonical::file_references, .items = &kReference};

// ---- build

constexpr Shape kTextOrBool{.accepts = kBoolean | kString, .format = Format::text};
constexpr Field kBuildFields[] = {
    {"context", &kText},
    {"dockerfile", &kText},
    {"dockerfile_inline", &kText},
    {"entitlements", &kTextList},
    {"args", &kEnvironment},
    {"provenance", &kTextOrBool},
    {"sbom", &kTextOrBool},
    {"ssh", &kSsh},
    {"labels", &kLabels},
    {"cache_from", &kTextList},
    {"cache_to", &kTextList},
    {"no_cache", &kBool},
    {"no_cache_filter", &kTextOrList},
    {"additional_contexts", &kKeyValues},
    {"pull", &kBool},
    {"extra_hosts", &kExtraHosts},
    {"isolation", &kText},
    {"network", &kText},
    {"target", &kText},
    {"secrets", &kBuildSecrets},
    {"shm_size", &kBytes},
    {"tags", &kSet},
    {"ulimits", &kUlimits},
    {"platforms", &kTextList},
    {"privileged", &kBool},
};
constexpr Shape kBuild{
    .accepts = kString | kMapping, .canonical = canonical::build, .fields = kBuildFields, .extensions = true};

// ---- blkio_config

constexpr Field kWeightDeviceFields[] = {{"path", &kText}, {"weight", &kWeight}};
constexpr Field kRateDeviceFields[] = {{"path", &kText}, {"rate", &kRate}};
constexpr Shape kWeightDevice{.accepts = kMapping, .fields = kWeightDeviceFields};
constexpr Shape kRateDevice{.accepts = kMapping, .fields = kRateDeviceFields};
constexpr Shape kWeightDevices{.accepts = kList, .items = &kWeightDevice};
constexpr Shape kRateDevices{.accepts = kList, .items = &kRateDevice};
constexpr Field kBlkioFields[] = {
    {"weight", &kWeight},
    {"weight_device", &kWeightDevices},
    {"device_read_bps", &kRateDevices},
    {"device_read_iops", &kRateDevices},
    {"device_write_bps", &kRateDevices},
    {"device_write_iops", &kRateDevices},
};
constexpr Shape kBlkio{.accepts = kMapping, .fields = kBlkioFields};

// ---- deploy

constexpr Shape kDeviceCount{.accepts = kInteger | kString, .format = Format::integer};
constexpr Field kDeviceRequestFields[] = {
    {"capabilities", &kTextList, true}, {"driver", &kText},    {"count", &kDeviceCount},
    {"device_ids", &kTextList},         {"options", &kLabels},
};
constexpr Field kGpuFields[] = {
    {"capabilities", &kTextList}, {"driver", &kText},    {"count", &kDeviceCount},
    {"device_ids", &kTextList},   {"options", &kLabels},
};
constexpr Shape kDeviceRequest{.accepts = kMapping, .canonical = canonical::device_request,
                               .fields = kDeviceRequestFields, .extensions = true};
constexpr Shape kDeviceRequests{.accepts = kList, .items = &kDeviceRequest};
constexpr Shape kGpu{
    .accepts = kMapping, .canonical = canonical::device_request, .fields = kGpuFields, .extensions = true};
constexpr Shape kGpus{.accepts = kString | kList, .canonical = canonical::gpus, .items = &kGpu};

constexpr Field kDiscreteFields[] = {{"kind", &kText}, {"value", &kAmount}};
constexpr Shape kDiscrete{.accepts = kMapping, .fields = kDiscreteFields, .extensions = true};
constexpr Field kGenericFields[] = {{"discrete_resource_spec", &kDiscrete}};
constexpr Shape kGeneric{.accepts = kMapping, .fields = kGenericFields, .extensions = true};
constexpr Shape kGenerics{.accepts = kList, .items = &kGeneric};
constexpr Field kLimitFields[] = {{"cpus", &kFraction}, {"memory", &kMemoryText}, {"pids", &kInt}};
constexpr Field kReservationFields[] = {
    {"cpus", &kFraction}, {"memory", &kMemoryText}, {"devices", &kDeviceRequests}, {"generic_resources", &kGenerics}};
constexpr Shape kLimits{.accepts = kMapping, .fields = kLimitFields, .extensions = true};
constexpr Shape kReservations{.accepts = kMapping, .fields = kReservationFields, .extensions = true};
constexpr Field kResourceFields[] = {{"limits", &kLimits}, {"reservations", &kReservations}};
constexpr Shape kResources{.accepts = kMapping, .fields = kResourceFields, .extensions = true};

constexpr const char* kUpdateOrders[] = {"start-first", "stop-first"};
constexpr Shape kUpdateOrder{.accepts = kString, .one_of = kUpdateOrders};
constexpr Field kUpdateFields[] = {
    {"parallelism", &kIntPrinted}, {"delay", &kDuration},             {"failure_action", &kText},
    {"monitor", &kDuration},       {"max_failure_ratio", &kFraction}, {"order", &kUpdateOrder},
};
constexpr Shape kUpdate{.accepts = kMapping, .fields = kUpdateFields, .extensions = true};
constexpr Field kRestartPolicyFields[] = {
    {"condition", &kText}, {"delay", &kDuration}, {"max_attempts", &kIntPrinted}, {"window", &kDuration}};
constexpr Shape kRestartPolicy{.accepts = kMapping, .fields = kRestartPolicyFields, .extensions = true};
constexpr Field kPreferenceFields[] = {{"spread", &kText}};
constexpr Shape kPreference{.accepts = kMapping, .fields = kPreferenceFields, .extensions = true};
constexpr Shape kPreferences{.accepts = kList, .items = &kPreference};
constexpr Field kPlacementFields[] = {
    {"constraints", &kTextList}, {"preferences", &kPreferences}, {"max_replicas_per_node", &kInt}};
constexpr Shape kPlacement{.accepts = kMapping, .fields = kPlacementFields, .extensions = true};
constexpr Field kDeployFields[] = {
    {"mode", &kText},
    {"replicas", &kCount},
    {"labels", &kLabels},
    {"update_config", &kUpdate},
    {"rollback_config", &kUpdate},
    {"resources", &kResources},
    {"restart_policy", &kRestartPolicy},
    {"placement", &kPlacement},
    {"endpoint_mode", &kText},
};
constexpr Shape kDeploy{
    .accepts = kMapping | kNull, .fields = kDeployFields, .extensions = true, .printed_when_zero = true};

// ---- hooks and develop

constexpr Field kPreStartFields[] = {
    {"command", &kHookCommand},  {"image", &kText}, {"user", &kText}, {"privileged", &kBool}, {"working_dir", &kText},
    {"environment", &kEnvironment}, {"per_replica", &kBool},
};
constexpr Field kHookFields[] = {
    {"command", &kHookCommand, true}, {"user", &kText}, {"privileged", &kBool}, {"working_dir", &kText},
    {"environment", &kEnvironment},
};
constexpr Shape kPreStart{.accepts = kMapping, .fields = kPreStartFields, .extensions = true};
constexpr Shape kPreStarts{.accepts = kList, .items = &kPreStart};
constexpr Shape kHook{.accepts = kMapping, .fields = kHookFields, .extensions = true};
constexpr Shape kHooks{.accepts = kList, .items = &kHook};

constexpr const char* kWatchActions[] = {"rebuild", "restart", "sync", "sync+restart", "sync+exec"};
constexpr Shape kWatchAction{.accepts = kString, .one_of = kWatchActions};
constexpr Field kWatchFields[] = {
    {"path", &kText, true},   {"action", &kWatchAction, true}, {"target", &kText}, {"exec", &kHook},
    {"include", &kTextOrList}, {"ignore", &kTextOrList},        {"initial_sync", &kStrictBool},
};
constexpr Shape kWatch{.accepts = kMapping, .fields = kWatchFields, .extensions = true};
constexpr Shape kWatches{.accepts = kList, .items = &kWatch};
constexpr Field kDevelopFields[] = {{"watch", &kWatches}};
constexpr Shape kDevelop{.accepts = kMapping | kNull, .fields = kDevelopFields, .extensions = true};

// ---- the other parts of a service

constexpr Field kCredentialFields[] = {{"config", &kText}, {"file", &kText}, {"registry", &kText}};
constexpr Shape kCredential{.accepts = kMapping, .fields = kCredentialFields, .extensions = true};

constexpr const char* kConditions[] = {"service_started", "service_healthy", "service_completed_successfully"};
constexpr Shape kCondition{.accepts = kString, .one_of = kConditions};
constexpr Field kDependencyFields[] = {
    {"condition", &kCondition, true}, {"restart", &kBool}, {"required", &kBoolPrinted}};
constexpr Shape kDependency{.accepts = kMapping, .fields = kDependencyFields, .extensions = true};
constexpr Shape kDependsOn{.accepts = kList | kMapping, .canonical = canonical::depends_on, .values = &kDependency};

constexpr Field kDeviceFields[] = {{"source", &kText, true}, {"target", &kText}, {"permissions", &kText}};
constexpr Shape kDevice{.accepts = kMapping, .fields = kDeviceFields, .extensions = true};
constexpr Shape kDevices{.accepts = kList, .merge = Merge::unique, .canonical = canonical::devices,
                         .identity = canonical::mount_target, .items = &kDevice};

constexpr Shape kStringKept{.accepts = kString};
constexpr Field kEnvFileFields[] = {{"path", &kStringKept, true}, {"required", &kBoolPrinted}, {"format", &kText}};
constexpr Shape kEnvFile{.accepts = kMapping, .fields = kEnvFileFields};
constexpr Shape kEnvFiles{.accepts = kString | kList, .merge = Merge::unique, .canonical = canonical::env_files,
                          .identity = canonical::file_path, .items = &kEnvFile};

constexpr Shape kHealthTest{.accepts = kString | kList, .merge = Merge::replace, .canonical = canonical::health_test,
                            .items = &kText};
constexpr Field kHealthFields[] = {
    {"test", &kHealthTest},       {"timeout", &kDuration},        {"interval", &kDuration}, {"retries", &kRetries},
    {"start_period", &kDuration}, {"start_interval", &kDuration}, {"disable", &kBool},
};
constexpr Shape kHealth{
    .accepts = kMapping, .fields = kHealthFields, .extensions = true, .printed_when_zero = true};

constexpr Shape kLogOption{
    .accepts = kInteger | kNumber | kString | kNull, .format = Format::text, .null_is_empty = true};
constexpr Shape kLogOptions{.accepts = kMapping, .values = &kLogOption};
constexpr Field kLoggingFields[] = {{"driver", &kText}, {"options", &kLogOptions}};
constexpr Shape kLogging{
    .accepts = kMapping, .merge = Merge::logging, .fields = kLoggingFields, .extensions = true};

constexpr Field kModelUseFields[] = {{"endpoint_var", &kText}, {"model_var", &kText}};
constexpr Shape kModelUse{.accepts = kMapping | kNull, .fields = kModelUseFields, .extensions = true,
                          .printed_when_zero = true};
constexpr Shape kModelUses{.accepts = kList | kMapping, .canonical = canonical::null_map, .values = &kModelUse};

constexpr Shape kAddresses{.accepts = kList, .merge = Merge::unique, .identity = canonical::item_text, .items = &kText};
constexpr Field kAttachmentFields[] = {
    {"aliases", &kAddresses},   {"driver_opts", &kOptions},    {"gw_priority", &kStrictInt},
    {"interface_name", &kText}, {"ipv4_address", &kText},      {"ipv6_address", &kText},
    {"link_local_ips", &kAddresses}, {"mac_address", &kText},  {"priority", &kStrictInt},
};
constexpr Shape kAttachment{.accepts = kMapping | kNull, .fields = kAttachmentFields, .extensions = true,
                            .printed_when_zero = true};
constexpr Shape kAttachments{.accepts = kList | kMapping, .canonical = canonical::null_map, .values = &kAttachment};

constexpr Shape kPortTarget{.accepts = kInteger | kString, .format = Format::integer, .minimum = 1, .maximum = 65535};
constexpr Field kPortFields[] = {
    {"name", &kText},         {"mode", &kText},     {"host_ip", &kText},     {"target", &kPortTarget},
    {"published", &kNumbersOrTexts}, {"protocol", &kText}, {"app_protocol", &kText},
};
constexpr Shape kPort{.accepts = kMapping, .fields = kPortFields, .extensions = true};
constexpr Shape kPorts{.accepts = kList, .merge = Merge::unique, .canonical = canonical::ports,
                       .identity = canonical::port_identity, .items = &kPort};

constexpr Shape kProviderValue{.accepts = kBoolean | kInteger | kNumber | kString | kList,
                               .canonical = canonical::provider_options, .items = &kAnyText};
constexpr Shape kProviderOptions{.accepts = kMapping, .values = &kProviderValue};
constexpr Field kProviderFields[] = {{"type", &kText, true}, {"options", &kProviderOptions}};
constexpr Shape kProvider{.accepts = kMapping, .fields = kProviderFields, .extensions = true};

constexpr const char* kMountTypes[] = {"bind", "volume", "tmpfs", "cluster", "npipe", "image"};
constexpr const char* kSelinuxModes[] = {"z", "Z"};
constexpr const char* kRecursions[] = {"enabled", "disabled", "writable", "readonly"};
constexpr Shape kMountType{.accepts = kString, .one_of = kMountTypes};
constexpr Shape kSelinux{.accepts = kString, .one_of = kSelinuxModes};
constexpr Shape kRecursion{.accepts = kString, .one_of = kRecursions};
constexpr Field kBindFields[] = {
    {"selinux", &kSelinux}, {"propagation", &kText}, {"create_host_path", &kBoolPrinted}, {"recursive", &kRecursion}};
constexpr Field kMountVolumeFields[] = {{"labels", &kLabels}, {"nocopy", &kBool}, {"subpath", &kText}};
constexpr Shape kTmpfsMode{.accepts = kInteger | kString, .format = Format::mode_number};
constexpr Field kMountTmpfsFields[] = {{"size", &kTmpfsSize}, {"mode", &kTmpfsMode}};
constexpr Field kMountImageFields[] = {{"subpath", &kText}};
constexpr Shape kBind{.accepts = kMapping, .fields = kBindFields, .extensions = true, .printed_when_zero = true};
constexpr Shape kMountVolume{
    .accepts = kMapping, .fields = kMountVolumeFields, .extensions = true, .printed_when_zero = true};
constexpr Shape kMountTmpfs{
    .accepts = kMapping, .fields = kMountTmpfsFields, .extensions = true, .printed_when_zero = true};
constexpr Shape kMountImage{
    .accepts = kMapping, .fields = kMountImageFields, .extensions = true, .printed_when_zero = true};
constexpr Field kMountFields[] = {
    {"type", &kMountType, true}, {"source", &kText},       {"target", &kText},       {"read_only", &kBool},
    {"consistency", &kText},     {"bind", &kBind},         {"volume", &kMountVolume}, {"tmpfs", &kMountTmpfs},
    {"image", &kMountImage},
};
constexpr Shape kMount{.accepts = kMapping, .fields = kMountFields, .extensions = true};
constexpr Shape kMounts{.accepts = kList, .merge = Merge::unique, .canonical = canonical::volumes,
                        .identity = canonical::mount_target, .items = &kMount};
constexpr Shape kTmpfs{.accepts = kString | kList, .merge = Merge::unique, .canonical = canonical::string_list,
                       .identity = canonical::before_colon, .items = &kText};
constexpr Shape kStorage{.accepts = kMapping, .values = &kAnyText};

constexpr Field kServiceFields[] = {
    {"profiles", &kUniqueSet},
    {"annotations", &kLabels},
    {"attach", &kBoolPrinted},
    {"build", &kBuild},
    {"develop", &kDevelop},
    {"blkio_config", &kBlkio},
    {"cap_add", &kCapabilities},
    {"cap_drop", &kCapabilities},
    {"cgroup_parent", &kText},
    {"cgroup", &kCgroup},
    {"cpu_count", &kCpuCount},
    {"cpu_percent", &kPercent},
    {"cpu_period", &kAmount},
    {"cpu_quota", &kAmount},
    {"cpu_rt_period", &kAmount},
    {"cpu_rt_runtime", &kAmount},
    {"cpus", &kFraction},
    {"cpuset", &kText},
    {"cpu_shares", &kAmount},
    {"command", &kCommand},
    {"configs", &kConfigReferences},
    {"container_name", &kContainerName},
    {"credential_spec", &kCredential},
    {"depends_on", &kDependsOn},
    {"deploy", &kDeploy},
    {"device_cgroup_rules", &kUniqueSet},
    {"devices", &kDevices},
    {"dns", &kTextOrSet},
    {"dns_opt", &kSet},
    {"dns_search", &kTextOrSet},
    {"domainname", &kText},
    {"entrypoint", &kCommand},
    {"provider", &kProvider},
    {"environment", &kEnvironment},
    {"env_file", &kEnvFiles},
    {"expose", &kExpose},
    {"external_links", &kSet},
    {"extra_hosts", &kExtraHosts},
    {"group_add", &kExpose},
    {"gpus", &kGpus},
    {"hostname", &kText},
    {"healthcheck", &kHealth},
    {"image", &kText},
    {"init", &kBoolPrinted},
    {"ipc", &kText},
    {"isolation", &kText},
    {"labels", &kLabels},
    {"label_file", &kTextOrList},
    {"links", &kUniqueSet},
    {"logging", &kLogging},
    {"mem_limit", &kBytes},
    {"mem_reservation", &kBytes},
    {"memswap_limit", &kBytes},
    {"mem_swappiness", &kBytes},
    {"mac_address", &kText},
    {"models", &kModelUses},
    {"network_mode", &kTextPrintedEmpty},
    {"networks", &kAttachments},
    {"oom_kill_disable", &kBool},
    {"oom_score_adj", &kOomScore},
    {"pid", &kTextOrNull},
    {"pids_limit", &kAmount},
    {"platform", &kText},
    {"ports", &kPorts},
    {"privileged", &kBool},
    {"pull_policy", &kPullPolicy},
    {"pull_refresh_after", &kText},
    {"read_only", &kBool},
    {"restart", &kRestart},
    {"runtime", &kText},
    {"scale", &kCount},
    {"secrets", &kSecretReferences},
    {"security_opt", &kUniqueSet},
    {"shm_size", &kBytes},
    {"stdin_open", &kBool},
    {"stop_grace_period", &kDuration},
    {"stop_signal", &kText},
    {"storage_opt", &kStorage},
    {"sysctls", &kLabels},
    {"tmpfs", &kTmpfs},
    {"tty", &kBool},
    {"ulimits", &kUlimits},
    {"use_api_socket", &kStrictBool},
    {"user", &kText},
    {"userns_mode", &kText},
    {"uts", &kText},
    {"volumes", &kMounts},
    {"volumes_from", &kUniqueSet},
    {"working_dir", &kText},
    {"pre_start", &kPreStarts},
    {"post_start", &kHooks},
    {"pre_stop", &kHooks},
};
constexpr FieldIndex kServiceIndex(kServiceFields);
constexpr Shape kService{.accepts = kMapping, .fields = kServiceFields, .index = &kServiceIndex, .extensions = true};
constexpr const char* kNamePattern = "letters, digits, '.', '_' and '-'";
constexpr const char* kNameRegex = "^[a-zA-Z0-9._-]+$";
constexpr Shape kServices{.accepts = kMapping, .values = &kService, .matches = is_name, .pattern = kNamePattern,
                           .regex = kNameRegex};

// ---- networks, volumes, secrets, configs, models

constexpr Field kPoolFields[] = {
    {"subnet", &kText}, {"gateway", &kText}, {"ip_range", &kText}, {"aux_addresses", &kTextMap}};
constexpr Shape kPool{.accepts = kMapping, .fields = kPoolFields, .extensions = true};
constexpr Shape kPools{.accepts = kList, .merge = Merge::pools, .items = &kPool};
constexpr Field kIpamFields[] = {{"driver", &kText}, {"config", &kPools}, {"options", &kTextMap}};
constexpr Shape kIpam{.accepts = kMapping, .fields = kIpamFields, .extensions = true};
constexpr Field kExternalFields[] = {{"name", &kText}};
constexpr Shape kExternal{
    .accepts = kBoolean | kString | kMapping, .format = Format::boolean, .fields = kExternalFields, .extensions = true};

constexpr Field kNetworkFields[] = {
    {"name", &kText},       {"driver", &kText},     {"driver_opts", &kOptions}, {"ipam", &kIpam},
    {"external", &kExternal}, {"internal", &kBool}, {"attachable", &kBool},     {"labels", &kLabels},
    {"enable_ipv4", &kBoolPrinted}, {"enable_ipv6", &kBoolPrinted},
};
constexpr Shape kNetwork{
    .accepts = kMapping | kNull, .canonical = canonical::external, .fields = kNetworkFields, .extensions = true};
constexpr Shape kNetworks{.accepts = kMapping, .values = &kNetwork, .matches = is_name, .pattern = kNamePattern,
                           .regex = kNameRegex};

constexpr Field kVolumeFields[] = {
    {"name", &kText}, {"driver", &kText}, {"driver_opts", &kOptions}, {"external", &kExternal}, {"labels", &kLabels}};
constexpr Shape kVolume{
    .accepts = kMapping | kNull, .canonical = canonical::external, .fields = kVolumeFields, .extensions = true};
constexpr Shape kVolumes{.accepts = kMapping, .values = &kVolume, .matches = is_name, .pattern = kNamePattern,
                           .regex = kNameRegex};

constexpr Field kSecretFields[] = {
    {"name", &kText},         {"file", &kText},     {"environment", &kText}, {"external", &kExternal},
    {"labels", &kLabels},     {"driver", &kText},   {"driver_opts", &kOptions}, {"template_driver", &kText},
};
constexpr Field kConfigFields[] = {
    {"name", &kText},     {"file", &kText},         {"environment", &kText}, {"content", &kText},
    {"external", &kExternal}, {"labels", &kLabels}, {"template_driver", &kText},
};
constexpr Shape kSecret{
    .accepts = kMapping, .canonical = canonical::external, .fields = kSecretFields, .extensions = true};
constexpr Shape kConfig{
    .accepts = kMapping, .canonical = canonical::external, .fields = kConfigFields, .extensions = true};
constexpr Shape kSecrets{.accepts = kMapping, .values = &kSecret, .matches = is_name, .pattern = kNamePattern,
                           .regex = kNameRegex};
constexpr Shape kConfigs{.accepts = kMapping, .values = &kConfig, .matches = is_name, .pattern = kNamePattern,
                           .regex = kNameRegex};

constexpr Field kModelFields[] = {
    {"name", &kText}, {"model", &kText, true}, {"context_size", &kStrictInt}, {"runtime_flags", &kTextList}};
constexpr Shape kModel{.accepts = kMapping, .fields = kModelFields, .extensions = true};
constexpr Shape kModels{.accepts = kMapping, .values = &kModel, .matches = is_name, .pattern = kNamePattern,
                           .regex = kNameRegex};

constexpr Field kProjectFields[] = {
    {"name", &kText},       {"services", &kServices}, {"networks", &kNetworks}, {"volumes", &kVolumes},
    {"secrets", &kSecrets}, {"configs", &kConfigs},   {"models", &kModels},
};
constexpr Shape kProject{.accepts = kMapping, .fields = kProjectFields, .extensions = true};

}  // namespace

const Shape& project_shape() { return kProject; }
const Shape& service_shape() { return kService; }
const Shape& network_shape() { return kNetwork; }
const Shape& volume_shape() { return kVolume; }
const Shape& file_source_shape() { return kSecret; }

}  // namespace gantry::compose
