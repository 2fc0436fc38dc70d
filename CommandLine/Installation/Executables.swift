import Foundation
import Models

/// Finds and runs the executables of the services.
struct Executables: Sendable {
    let directory: String

    /// Beside the `martlet` executable, unless told otherwise.
    init(directory: String?) throws {
        if let directory {
            self.directory = URL(fileURLWithPath: directory).standardizedFileURL.path
        } else {
            let own = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
            self.directory = URL(fileURLWithPath: own).deletingLastPathComponent().path
        }
        let missing = ServiceName.deployed.filter {
            !FileManager.default.isExecutableFile(atPath: path(of: $0))
        }
        guard missing.isEmpty else {
            throw CommandProblem(
                "\(self.directory) lacks \(missing.map(\.executable).joined(separator: ", ")); build everything"
                    + " (`swift build`) or give --bin-directory")
        }
    }

    func path(of service: ServiceName) -> String { directory + "/" + service.executable }

    /// Runs an executable to its end.
    func run(
        _ service: ServiceName, arguments: [String], environment: [String: String]
    ) throws -> (status: Int32, output: String) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: path(of: service))
        process.arguments = arguments
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = pipe
        try process.run()
        let output = try pipe.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: output, as: UTF8.self))
    }
}

extension ServiceName {
    /// The services that have an executable.
    static let deployed: [ServiceName] = [
        .ingestion, .identity, .consent, .segmentation, .recommendation, .journeys, .delivery,
    ]

    var executable: String { "martlet-\(rawValue)" }
}
