//! OpenTelemetry's Python SDK as a client of the agent: over HTTP and gRPC, with and without compression. `cargo xtask servers opentelemetry`
//! brings it; without it the test says that it is skipped.

use std::process::Command;

use flb_testkit::Program;
use flb_testkit::servers::{brought, free_port};

/// Sends one log, and ends with an error if that is not taken.
const SCRIPT: &str = r#"
import sys
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, LogRecordExportResult
from opentelemetry.sdk.resources import Resource
way, port = sys.argv[1:]
if way == "grpc":
    from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
    exporter = OTLPLogExporter(endpoint=f"http://127.0.0.1:{port}", insecure=True)
elif way == "grpc, gzip":
    import grpc
    from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
    exporter = OTLPLogExporter(endpoint=f"http://127.0.0.1:{port}", insecure=True, compression=grpc.Compression.Gzip)
else:
    from opentelemetry.exporter.otlp.proto.http import Compression
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    packed = Compression.Gzip if way == "http, gzip" else Compression.NoCompression
    exporter = OTLPLogExporter(endpoint=f"http://127.0.0.1:{port}/v1/logs", compression=packed)
results = []
class Told:
    def export(self, batch):
        results.append(exporter.export(batch))
        return results[-1]
    def shutdown(self): exporter.shutdown()
    def force_flush(self, timeout_millis=0): return True
provider = LoggerProvider(resource=Resource({"service.name": "shop"}))
provider.add_log_record_processor(BatchLogRecordProcessor(Told()))
log = LogRecord(timestamp=7000000000, severity_number=SeverityNumber.INFO, body=way, attributes={"n": 1})
provider.get_logger("orders").emit(log)
provider.shutdown()
sys.exit(0 if results and all(result.name == "SUCCESS" for result in results) else 1)
"#;

#[test]
fn the_python_sdk_is_served_over_http_and_grpc() {
    let Some(package) = brought("opentelemetry", "opentelemetry") else { return };
    let packages = package.parent().unwrap();
    let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
    let (config, out) = (dir.path().join("agent.conf"), dir.path().display());
    let text = format!(
        "[SERVICE]\n    Flush 0.05\n[INPUT]\n    Name opentelemetry\n    Listen 127.0.0.1\n    Port {port}\n\
         [OUTPUT]\n    Name file\n    Match v1_logs\n    Path {out}\n    File out\n"
    );
    std::fs::write(&config, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_flb-agent"));
    command.arg("-c").arg(&config).env_remove("HOME").env_remove("XDG_CACHE_HOME");
    let mut program = Program::start(&mut command);
    program.line_with("listening on").unwrap();
    let ways = ["http", "http, gzip", "grpc", "grpc, gzip"];
    for way in ways {
        let mut client = Command::new("python3");
        client.args(["-c", SCRIPT, way, &port.to_string()]).env("PYTHONPATH", packages);
        let told = client.output().unwrap();
        assert!(told.status.success(), "{way}: {}", String::from_utf8_lossy(&told.stderr));
    }
    assert_eq!(program.terminate().code, Some(0));
    let lines = std::fs::read_to_string(dir.path().join("out")).unwrap();
    assert_eq!(lines.lines().count(), ways.len(), "{lines}");
    for way in ways {
        assert!(lines.contains(&format!(r#""log":"{way}""#)), "{way}: {lines}");
    }
}
