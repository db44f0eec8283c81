// All commands: each is a table entry (what it takes) and a function (what it does), in a file of its own name.
#pragma once

#include <span>

#include "base/result.h"
#include "cli/flags.h"
#include "cli/session.h"

namespace gantry::cli {

struct Command {
  Syntax syntax;
  // Exit status, or the error that is printed.
  Result<int> (*run)(Session& session, const Arguments& arguments);
  std::string_view refused = {};  // known from other tools, but not built: why
};

// compose …
extern const Command kUp, kCreate, kDown, kPs, kLogs, kExec, kRun, kStop, kStart, kRestart, kKill, kRemove, kPause,
    kUnpause, kBuild, kPull, kPush, kConfig, kImages, kPort, kList, kVersion, kPlan, kAttach, kCommit, kCopy, kEvents,
    kExport, kScale, kStats, kTop, kViz, kVolumes, kWait, kWatch, kPublish, kGenerate, kWhy, kTimings, kTest;
extern const Command kBridgeConvert, kBridgeList, kBridgeLs, kBridgeCreate;

// gantry …: names of two words are commands of a group ("volume ls").
std::span<const Command* const> engine_commands();
// "container ls" → "ps"; "" if the words are no other name of a command.
std::string_view engine_command_alias(std::string_view words);

extern const Command kEnginePs, kEngineRemove, kEngineStop, kEngineStart, kEngineRestart, kEngineKill, kEnginePause,
    kEngineUnpause, kEngineRename, kEngineUpdate, kEngineWait, kEngineContainerPrune;
extern const Command kEngineInspect, kEngineLogs, kEngineTop, kEnginePort, kEngineDiff, kEngineEvents, kEngineStats;
extern const Command kEngineRun, kEngineCreate, kEngineExec, kEngineAttach, kEngineCommit, kEngineCopy,
    kEngineExport;
extern const Command kEngineLoad, kEngineImport, kEnginePull, kEngineBuild, kEngineImages, kEngineRemoveImage,
    kEngineTag, kEngineHistory, kEngineSave, kEnginePush, kEngineImagePrune, kEngineBuilderPrune, kEngineLogin, kEngineLogout;
extern const Command kEngineNetworks, kEngineVolumeCreate, kEngineVolumeList, kEngineVolumeInspect, kEngineVolumeRemove,
    kEngineVolumePrune;
extern const Command kEngineVersion, kEngineInfo, kEngineSystemDf, kEngineSystemPrune, kEngineDaemon, kDialStdio;
extern const Command kContextCreate, kContextList, kContextUse, kContextShow, kContextRemove, kContextInspect, kCertsInit,
    kCompletion;

// "-t 0" typed differs from no "-t". Errors: a negative number other than -1 (wait for ever).
Result<std::optional<std::chrono::seconds>> seconds_of(const Arguments& arguments, std::string_view flag);

// A path of the Docker-compatible API for one container or image.
std::string container_path(std::string_view id, std::string_view action = {});
std::string image_path(std::string_view reference, std::string_view action = {});
// Sends a request without a body in the answer that matters; errors are the daemon's.
Result<> post(client::ApiClient& api, const std::string& path, const std::string& body = {});
// As the user typed it, for messages and rows: one row of progress.
compose::Progress container_progress(const ContainerRow& row, compose::Progress::Status status, std::string text,
                                     std::string details = {});

// "PREFIX:TAG" of an image reference as the columns REPOSITORY and TAG; a digest stays with the repository.
struct SplitReference {
  std::string repository;
  std::string tag;
};
SplitReference split_reference(std::string_view reference);

}  // namespace gantry::cli
