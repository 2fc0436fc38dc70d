import PackagePlugin

/// Makes each OpenAPI file of the target a string in its sources. Of SwiftPM's own `embedInCode`, which writes arrays of
/// numbers, the compiler made 650 KB in more than a minute; a string literal of the same takes it no time.
@main
struct EmbedContracts: BuildToolPlugin {
    func createBuildCommands(context: PluginContext, target: any Target) throws -> [Command] {
        guard let target = target.sourceModule else { return [] }
        let tool = try context.tool(named: "embed-contract")
        return target.sourceFiles.map(\.url).filter { $0.pathExtension == "yaml" }.map { file in
            let name = file.deletingPathExtension().lastPathComponent
            let output = context.pluginWorkDirectoryURL.appending(path: "\(name)Contract.swift")
            return .buildCommand(
                displayName: "Embedding \(file.lastPathComponent)", executable: tool.url,
                arguments: [name, file.path, output.path], inputFiles: [file], outputFiles: [output])
        }
    }
}
