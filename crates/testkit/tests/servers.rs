//! The servers of others, those that were brought: each starts and answers as itself.

use flb_testkit::servers::{Server, aws, free_port, kafka, opensearch, s3};
use flb_testkit::{Answer, get};

fn root(server: &Server, headers: &str) -> Answer {
    get(server.port, "/", headers)
}

#[test]
fn a_broker_of_kafkas_listens() {
    drop(kafka(free_port()));
}

#[test]
fn opensearch_tells_its_version() {
    let Some(server) = opensearch(free_port()) else { return };
    let answer = root(&server, "");
    assert_eq!(answer.status, 200);
    assert!(answer.body.contains("\"number\""), "{}", answer.body);
}

#[test]
fn s3_answers_nobody_who_does_not_sign() {
    let folder = std::env::temp_dir().join(format!("flb-testkit-s3-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    if let Some(server) = s3(free_port(), &folder, "keykeykey", "secretsecret") {
        let answer = root(&server, "");
        assert_eq!(answer.status, 400);
        assert!(answer.body.contains("UnsupportedAlgorithm"), "{}", answer.body);
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn aws_lists_its_buckets() {
    let Some(server) = aws(free_port()) else { return };
    let signed =
        "Authorization: AWS4-HMAC-SHA256 Credential=key/20260101/us-east-1/s3/aws4_request\r\n";
    let answer = root(&server, signed);
    assert_eq!(answer.status, 200);
    assert!(answer.body.contains("ListAllMyBucketsResult"), "{}", answer.body);
}
