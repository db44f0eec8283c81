// The commands of gantry, in the order of their names, and their other names.
#include <algorithm>
#include <array>

#include "cli/commands/commands.h"

namespace gantry::cli {

namespace {

// Constant-initialised from addresses: usable before any constructor has run.
constexpr std::array kCommands = {
    &kEngineAttach, &kEngineBuild, &kCertsInit, &kEngineCommit, &kCompletion, &kEngineContainerPrune, &kContextCreate,
    &kContextInspect, &kContextList, &kContextRemove, &kContextShow, &kContextUse, &kEngineCopy, &kEngineCreate, &kEngineDaemon,
    &kEngineDiff, &kEngineEvents, &kEngineExec, &kEngineExport, &kEngineHistory, &kEngineImages, &kEngineImagePrune, &kEngineBuilderPrune,
    &kEngineImport, &kEngineInfo, &kEngineInspect, &kEngineKill, &kEngineLoad, &kEngineLogin, &kEngineLogout, &kEngineLogs, &kEngineNetworks,
    &kEnginePause, &kEnginePort, &kEnginePs, &kEnginePull, &kEnginePush, &kEngineRename, &kEngineRestart, &kEngineRemove,
    &kEngineRemoveImage, &kEngineRun, &kEngineSave, &kEngineStart, &kEngineStats, &kEngineStop, &kEngineSystemDf,
    &kDialStdio, &kEngineSystemPrune, &kEngineTag, &kEngineTop, &kEngineUnpause, &kEngineUpdate, &kEngineVersion,
    &kEngineVolumeCreate, &kEngineVolumeInspect, &kEngineVolumeList, &kEngineVolumePrune, &kEngineVolumeRemove,
    &kEngineWait};

struct Alias {
  std::string_view words;
  std::string_view command;
};
constexpr Alias kAliases[] = {
    {"container ls", "ps"}, {"container ps", "ps"}, {"container list", "ps"}, {"container rm", "rm"},
    {"image ls", "images"}, {"image list", "images"}, {"image rm", "rmi"}, {"image remove", "rmi"},
    {"builder build", "build"}, {"volume list", "volume ls"}, {"volume remove", "volume rm"},
    {"context list", "context ls"}, {"context remove", "context rm"}, {"system info", "info"}, {"system events", "events"},
};
// `container X` and `image X` are X.
constexpr std::string_view kContainerCommands[] = {"attach", "commit", "cp", "create", "diff", "exec", "export", "inspect", "kill",
                                                   "logs", "pause", "port", "rename", "restart", "run", "start", "stats",
                                                   "stop", "top", "unpause", "update", "wait"};
constexpr std::string_view kImageCommands[] = {"build", "history", "import", "inspect", "load", "pull", "push", "save", "tag"};

}  // namespace

std::span<const Command* const> engine_commands() { return kCommands; }

std::string_view engine_command_alias(std::string_view words) {
  for (const Alias& alias : kAliases) {
    if (alias.words == words) return alias.command;
  }
  const auto behind = [&](std::string_view group, auto& names) -> std::string_view {
    if (!words.starts_with(group)) return {};
    const std::string_view name = words.substr(group.size());
    return std::find(std::begin(names), std::end(names), name) != std::end(names) ? name : std::string_view();
  };
  if (const auto name = behind("container ", kContainerCommands); !name.empty()) return name;
  return behind("image ", kImageCommands);
}

}  // namespace gantry::cli
